# Sourced by demo.sh and check.sh: a virtual environment that is made once and reused while pyproject.toml is the same.
unset PYTHONHOME PYTHONPATH

# Prints the first Python of at least 3.11 that is found ($PYTHON first, if it is set).
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "kvolume needs Python 3.11 or newer. Install it, or name it: PYTHON=/path/to/python3 sh $0" >&2
    return 1
}

# install_venv FOLDER PIP_ARGUMENT...: makes FOLDER if need be and installs, unless the same was installed before.
install_venv() {
    folder=$1
    shift
    stamp="$(cksum pyproject.toml) $(pwd) $*"
    if [ "$(cat "$folder/kvolume.stamp" 2>/dev/null)" = "$stamp" ] && "$folder/bin/python" -c 'import kvolume' 2>/dev/null; then
        echo "$folder is up to date"
        return
    fi
    if ! "$folder/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        if [ -e "$folder" ] && [ ! -e "$folder/kvolume.stamp" ]; then
            echo "$folder is here but has no Python of 3.11 or newer that works: remove it, and run this again." >&2
            return 1
        fi
        python=$(find_python)
        "$python" -m venv --clear "$folder" || {
            rm -rf "$folder"
            echo "$python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2
            return 1
        }
    fi
    echo "installing into $folder"
    : >"$folder/kvolume.stamp" # ours, but not complete yet
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    echo "$stamp" >"$folder/kvolume.stamp"
}
