"""Failures in the shared contract are told in full."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("runtime_contract")
