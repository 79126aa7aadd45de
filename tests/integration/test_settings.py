"""What a service prints when it is started with settings that it must not run with."""

import asyncio
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent


async def start(**environment: str) -> tuple[int | None, str]:
    """Exit status and output of a server that is started with an environment."""
    kept = {name: value for name, value in os.environ.items() if name not in ("ENVIRONMENT", "SIGNING_KEY")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "settings_app:app", "--app-dir", str(HERE), "--port", "0"),
        env=kept | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_a_missing_secret_is_told_in_one_list() -> None:
    """The server ends with the list of what to set: no traceback, and no value."""
    status, output = await start(ENVIRONMENT="production", PORT_OF_SOMETHING="7")
    assert status == 1
    assert output.splitlines()[:2] == [
        "Settings in production cannot be used:",
        "  SIGNING_KEY: has its development default; production needs a value of its own",
    ]
    assert len(output.splitlines()) == 3
    assert "every-developer" not in output


async def test_a_wrong_value_is_told_in_one_list() -> None:
    """A value of the wrong type names the variable, and no server framework appears."""
    status, output = await start(ENVIRONMENT="test", PORT_OF_SOMETHING="seven-of-nine")
    assert status == 1
    assert "  PORT_OF_SOMETHING: input should be a valid integer" in output
    assert "Traceback" not in output
    assert "seven-of-nine" not in output
