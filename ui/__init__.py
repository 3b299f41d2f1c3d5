"""The window: Qt widgets over `assistant`. Nothing else imports PySide6."""
