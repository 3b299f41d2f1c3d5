"""Colours, sizes and the style sheet made of them: one spacing scale, one type scale, light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PySide6.QtGui import QColor, QPalette

SMALL: Final = 4
GAP: Final = 8
ROOM: Final = 12
WIDE: Final = 16
LARGE: Final = 24
HUGE: Final = 40
"""Distances in logical pixels. There are no others."""

RADIUS: Final = 10
ICON: Final = 20
BUTTON: Final = 36


@dataclass(frozen=True)
class Theme:
    """Named for what a colour is for. Text on its ground has a contrast of at least 4.5."""

    dark: bool
    ground: str
    side: str
    raised: str
    line: str
    text: str
    faint: str
    accent: str
    on_accent: str
    tint: str
    hover: str
    found: str
    good: str
    warm: str
    bad: str

    def palette(self) -> QPalette:
        """For what Qt draws itself."""
        role = QPalette.ColorRole
        palette = QPalette()
        for name, colour in (
            (role.Window, self.ground),
            (role.Base, self.ground),
            (role.AlternateBase, self.side),
            (role.Button, self.raised),
            (role.ToolTipBase, self.raised),
            (role.Text, self.text),
            (role.WindowText, self.text),
            (role.ButtonText, self.text),
            (role.ToolTipText, self.text),
            (role.PlaceholderText, self.faint),
            (role.Highlight, self.accent),
            (role.HighlightedText, self.on_accent),
            (role.Accent, self.accent),
            (role.Link, self.accent),
        ):
            palette.setColor(name, QColor(colour))
        for name in (role.Text, role.WindowText, role.ButtonText):
            palette.setColor(QPalette.ColorGroup.Disabled, name, QColor(self.faint))
        return palette


LIGHT: Final = Theme(
    dark=False,
    ground="#ffffff",
    side="#f4f5f8",
    raised="#ffffff",
    line="#dfe2e9",
    text="#1a1e27",
    faint="#5c6575",
    accent="#3257d6",
    on_accent="#ffffff",
    tint="#edf1fd",
    hover="#e7eaf1",
    found="#ffe8a3",
    good="#1c7d4d",
    warm="#a15c00",
    bad="#b3261e",
)
DARK: Final = Theme(
    dark=True,
    ground="#15171c",
    side="#1b1e25",
    raised="#20242d",
    line="#313642",
    text="#e9ebf0",
    faint="#9ea7b7",
    accent="#8aa8ff",
    on_accent="#101828",
    tint="#232b40",
    hover="#2a2f3b",
    found="#5c4a14",
    good="#5fc992",
    warm="#e6b05c",
    bad="#ff8a80",
)


@dataclass(frozen=True)
class Type:
    """Sizes of letters in logical pixels, all from one: ``scale`` is the person's choice."""

    scale: float = 1.0

    def px(self, steps: int) -> int:
        """0 is the size of the answer's text; each step is a fifth larger or smaller."""
        return round(14.5 * self.scale * 1.2**steps)


def style_sheet(theme: Theme, letters: Type) -> str:
    """For the whole application."""
    t, px = theme, letters.px
    return f"""
* {{ font-size: {px(0)}px; }}
QMainWindow, QDialog, #conversation {{ background: {t.ground}; color: {t.text}; }}
QLabel {{ background: transparent; color: {t.text}; }}
QLabel[kind="title"] {{ font-size: {px(1)}px; font-weight: 700; }}
QLabel[kind="hero"] {{ font-size: {px(3)}px; font-weight: 700; }}
QLabel[kind="heading"] {{ font-size: {px(2)}px; font-weight: 700; }}
QLabel[kind="section"] {{ font-weight: 700; }}
QLabel[kind="faint"] {{ color: {t.faint}; }}
QLabel[kind="small"] {{ color: {t.faint}; font-size: {px(-1)}px; }}
QLabel[kind="code"] {{ font-family: monospace; font-size: {px(-1)}px; }}
QLabel[kind="problem"] {{ color: {t.bad}; font-size: {px(-1)}px; }}
#card {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: {RADIUS}px; }}
#line {{ background: {t.line}; border: none; }}
#segments {{ background: {t.side}; border: 1px solid {t.line}; border-radius: {RADIUS}px; }}
#side {{ background: {t.side}; border: none; border-right: 1px solid {t.line}; }}
#header {{ background: {t.ground}; border: none; border-bottom: 1px solid {t.line}; }}
#foot {{ background: {t.ground}; border: none; border-top: 1px solid {t.line}; }}
#transcript {{ background: {t.ground}; color: {t.text}; border: none;
    selection-background-color: {t.accent}; selection-color: {t.on_accent}; }}
#bar {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: {GAP}px; }}
#camera {{ background: {t.side}; border: 1px solid {t.line}; border-radius: {RADIUS + SMALL}px; }}
#request {{ background: {t.tint}; border: 1px solid {t.line}; border-radius: {RADIUS}px; }}
QPushButton[kind="plain"] {{ border: 1px solid {t.line}; }}
#banner {{ background: {t.tint}; border-radius: {RADIUS}px; }}
#composer {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: {RADIUS + SMALL}px; }}
#composer[focused="true"] {{ border-color: {t.accent}; }}
#composer[target="true"] {{ background: {t.tint}; border: 1px dashed {t.accent}; }}
#composer QPlainTextEdit {{ background: transparent; border: none; color: {t.text};
    placeholder-text-color: {t.faint};
    selection-background-color: {t.accent}; selection-color: {t.on_accent}; }}
#thumbnail {{ background: {t.side}; border: 1px solid {t.line}; border-radius: {GAP}px; }}
QLineEdit {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; border-radius: {GAP}px;
    padding: {SMALL + 2}px {GAP}px; placeholder-text-color: {t.faint};
    selection-background-color: {t.accent}; selection-color: {t.on_accent}; }}
QLineEdit:focus {{ border-color: {t.accent}; }}
QListWidget {{ background: transparent; border: none; outline: none; color: {t.text}; }}
QListWidget::item {{ border-radius: {GAP}px; padding: {GAP}px {ROOM}px; margin: 1px 0; color: {t.text}; }}
QListWidget::item:hover {{ background: {t.hover}; }}
QListWidget::item:selected {{ background: {t.tint}; color: {t.text}; font-weight: 700; }}
QListWidget::item:selected:active {{ color: {t.accent}; }}
QToolButton, QPushButton {{ background: transparent; color: {t.text}; border: 1px solid transparent;
    border-radius: {GAP}px; padding: {SMALL + 2}px; }}
QToolButton[kind="small"] {{ color: {t.faint}; font-size: {px(-1)}px; padding: 2px {SMALL - 1}px; }}
QToolButton:hover, QPushButton:hover {{ background: {t.hover}; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
QDialog QPushButton {{ background: {t.raised}; border: 1px solid {t.line}; min-width: {2 * HUGE}px; }}
QToolButton:focus, QPushButton:focus, QDialog QPushButton:focus {{ border-color: {t.accent}; }}
#preferences {{ padding: {GAP}px {ROOM}px; }}
QToolButton:disabled, QPushButton:disabled {{ color: {t.faint}; }}
QPushButton {{ padding: {GAP}px {ROOM}px; }}
QPushButton[kind="card"] {{ background: {t.side}; border: 1px solid {t.line}; text-align: left;
    padding: {ROOM}px {WIDE}px; }}
QPushButton[kind="card"]:hover {{ background: {t.hover}; }}
QPushButton[kind="card"]:focus {{ border-color: {t.accent}; }}
QPushButton[kind="main"], QToolButton[kind="main"] {{ background: {t.accent}; color: {t.on_accent}; }}
QPushButton[kind="main"]:focus, QToolButton[kind="main"]:focus {{ border: 2px solid {t.text}; }}
QPushButton[kind="main"]:disabled, QToolButton[kind="main"]:disabled {{ background: {t.hover};
    color: {t.faint}; }}
QPushButton[kind="quiet"] {{ background: {t.raised}; border: 1px solid {t.line}; }}
QPushButton[kind="quiet"]:hover {{ background: {t.hover}; }}
QPushButton[kind="quiet"]:focus {{ border-color: {t.accent}; }}
QPushButton[kind="danger"] {{ background: transparent; border: 1px solid {t.bad}; color: {t.bad}; }}
QPushButton[kind="danger"]:hover {{ background: {t.hover}; }}
QPushButton[kind="danger"]:focus {{ border: 2px solid {t.bad}; }}
QPushButton[kind="segment"] {{ padding: {SMALL}px {ROOM}px; color: {t.faint}; }}
QPushButton[kind="segment"]:checked {{ background: {t.raised}; color: {t.text}; border-color: {t.line}; }}
QPushButton[kind="segment"]:focus {{ border-color: {t.accent}; }}
QTableWidget {{ background: {t.raised}; color: {t.text}; border: none; gridline-color: {t.line};
    alternate-background-color: {t.side}; selection-background-color: {t.tint}; selection-color: {t.text}; }}
QTableWidget::item {{ padding: {SMALL}px {GAP}px; }}
QHeaderView {{ background: transparent; }}
QHeaderView::section {{ background: {t.raised}; color: {t.faint}; border: none;
    border-bottom: 1px solid {t.line}; padding: {SMALL}px {GAP}px; font-size: {px(-1)}px; }}
QComboBox QAbstractItemView {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line};
    selection-background-color: {t.tint}; selection-color: {t.text}; outline: none; padding: {SMALL}px; }}
QSlider {{ background: transparent; }}
QSlider::groove:horizontal {{ background: {t.line}; height: 4px; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {t.accent}; border-radius: 2px; }}
QSlider::handle:horizontal {{ background: {t.accent}; width: 16px; height: 16px; margin: -6px 0;
    border-radius: 8px; }}
QSlider::handle:horizontal:focus {{ border: 2px solid {t.text}; width: 12px; height: 12px; }}
QToolButton::menu-indicator {{ image: none; }}
QMenu {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; padding: {SMALL}px; }}
QMenu::item {{ padding: {SMALL + 2}px {WIDE}px; border-radius: {SMALL}px; }}
QMenu::icon {{ padding-left: {GAP}px; }}
QMenu::item:selected {{ background: {t.tint}; }}
QMenu::item:disabled {{ color: {t.faint}; }}
QMenu::separator {{ height: 1px; background: {t.line}; margin: {SMALL}px {GAP}px; }}
QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; padding: {SMALL}px; }}
QSplitter::handle {{ background: {t.line}; }}
QProgressBar {{ background: {t.hover}; border: none; border-radius: 2px; max-height: 4px; }}
QProgressBar::chunk {{ background: {t.accent}; border-radius: 2px; }}
QScrollArea {{ background: transparent; border: none; }}
QScrollBar:vertical {{ background: transparent; width: {ROOM}px; margin: 0; }}
QScrollBar::handle:vertical {{ background: {t.line}; border-radius: 4px; min-height: {HUGE}px; margin: 2px; }}
QScrollBar::handle:vertical:disabled {{ background: transparent; }}
QScrollBar::handle:vertical:hover {{ background: {t.faint}; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
    background: none; height: 0; width: 0; }}
"""
