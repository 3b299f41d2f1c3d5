"""What is there while another window has the focus: pill, tray, hotkeys, the frozen screen."""
