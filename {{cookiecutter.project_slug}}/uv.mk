# Finds uv: the variable UV, then PATH, then a pinned one that is installed into .uv/ the first time it is needed.
# A recipe that runs "$(UV)" names $(UV_READY) among its order-only prerequisites.
UV_PIN := 0.13.9

ifeq ($(strip $(UV)),)
UV := $(shell command -v uv 2>/dev/null)
endif
ifeq ($(UV),)
UV := $(CURDIR)/.uv/$(UV_PIN)/bin/uv
UV_READY := .uv/$(UV_PIN)/bin/uv
endif

# Built aside and renamed into place, so that an interrupted or a parallel `make` never leaves half of it.
.uv/$(UV_PIN)/bin/uv:
	@command -v python3 >/dev/null || { \
		echo 'Neither uv nor python3 is on PATH. Install Python 3.11 or later (apt-get install python3 python3-venv).' >&2; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "python3 is $$(python3 -V 2>&1), and 3.11 or later is needed. Put a later one on PATH, or install uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	@echo 'uv is not on PATH: installing uv $(UV_PIN) into .uv/' >&2
	@mkdir -p .uv && aside=$$(mktemp -d .uv/aside.XXXXXX) && trap 'rm -rf "$$aside"' EXIT && \
	{ python3 -m venv "$$aside/venv" || { \
		echo 'python3 cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; } ; } && \
	{ "$$aside/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input 'uv==$(UV_PIN)' || { \
		echo 'pip could not install uv $(UV_PIN). Is a package index reachable? pip reads PIP_INDEX_URL.' >&2; exit 1; } ; } && \
	{ python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$$aside/venv" '.uv/$(UV_PIN)' 2>/dev/null || test -x '$@'; }
