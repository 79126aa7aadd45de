# Sourced by the scripts beside it, from the repository's root; needs Python >= 3.11 and nothing else.
# shellcheck shell=sh

# Print the first Python that is new enough and can make virtual environments. PYTHON overrides the search.
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3.14 python3.13 python3.12 python3.11 python3 python; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer with its venv module is needed and was not found." >&2
    echo "Install it (on Debian and Ubuntu: apt install python3 python3-venv) or name one: PYTHON=/path/to/python $0" >&2
    return 1
}

# ensure_venv [DIRECTORY [LOCK ...]]: make DIRECTORY hold exactly what the locks say, and this project, editable. Does nothing
# when it does already. Sets `python` to the interpreter in it.
ensure_venv() {
    venv=${1:-.venv}
    [ $# -eq 0 ] || shift
    [ $# -gt 0 ] || set -- requirements/dev.lock
    base=$(find_python) || exit 1
    "$base" scripts/ensure_venv.py "$venv" "$@" || exit 1
    # shellcheck disable=SC2034  # for the script that sources this file
    python=$venv/bin/python
}
