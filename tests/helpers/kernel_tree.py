"""Folders that look like a device's ``/sys``, ``/proc`` and ``/etc``, and programs that it has."""

from __future__ import annotations

from pathlib import Path

PMIC = """\
     3V7_WL_SW_A current(0)=0.00390384A
       3V3_SYS_A current(1)=0.05856270A
       1V8_SYS_A current(2)=0.18543250A
      VDD_CORE_A current(7)=2.00000000A
     3V7_WL_SW_V volt(8)=3.69838300V
       3V3_SYS_V volt(9)=3.31294300V
       1V8_SYS_V volt(10)=1.79853900V
      VDD_CORE_V volt(15)=0.75000000V
         EXT5V_V volt(24)=5.15103000V
          BATT_V volt(25)=0.00000000V
"""
"""What a Raspberry Pi 5 answers to ``vcgencmd pmic_read_adc``, four rails of it."""


def put(root: Path, files: dict[str, str]) -> Path:
    """Write files under `root`, by path and text, and return `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def hwmon(root: Path, number: int, name: str, **files: str) -> Path:
    """Add a monitoring chip with the files given, and return its folder."""
    put(root, {f"sys/class/hwmon/hwmon{number}/{file}": text for file, text in {"name": name, **files}.items()})
    return root / f"sys/class/hwmon/hwmon{number}"


def program(path: Path, script: str) -> Path:
    """Write an executable shell script and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def vcgencmd(root: Path, answers: dict[str, str]) -> Path:
    """Add Raspberry Pi's command, which knows these questions and refuses others as the real one does."""
    cases = "".join(f"{question}) cat <<'END'\n{answer.rstrip()}\nEND\n;;\n" for question, answer in answers.items())
    refusal = "*) echo 'error=1 error_msg=\"Command not registered\"';;"
    return program(root / "usr/bin/vcgencmd", f'case "$1" in\n{cases}{refusal}\nesac')
