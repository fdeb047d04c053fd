"""Bad inputs made from good ones, and every command attacked with them: `python -m tests.attack`."""
