# Sourced by the scripts beside it: an environment to run in, and real servers to test against.
#
#   RASCAL_VENV      where the environment is (.venv)
#   PYTHON           the Python it is made with (the first of 3.11 or newer on PATH)
#   RASCAL_SERVERS   no: install no servers, test against those that are there

venv=${RASCAL_VENV:-.venv}
prog=${0##*/}
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '\n>>> %s\n' "$*"; }

die() {
    printf '%s: %s\n' "$prog" "$*" >&2
    exit 1
}

find_python() {
    local name
    for name in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
        if [ -n "$name" ] && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    return 1
}

# What runs a command as root; fails where nothing does without asking.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null && sudo -n "$@"
    fi
}

make_venv() {
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
    local python
    python=$(find_python) || die "needs Python 3.11 or newer (PYTHON=… names one)"
    say "Making an environment in $venv"
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        # Debian keeps the module apart.
        apt_install python3-venv || true
        rm -rf "$venv"
        "$python" -m venv "$venv" || die "$python cannot make environments (Debian: python3-venv)"
    fi
}

# make_environment GROUP: Rascal in place (editable) with the demo's needs and a group of its own. What has been
# done for the present state of pyproject.toml and constraints.txt is not done again; `dev` has all.
make_environment() {
    local group=$1 state done
    make_venv
    state=$(cat pyproject.toml constraints.txt | cksum)
    for done in "$group" dev; do
        if [ "$(cat "$venv/.rascal-$done.stamp" 2>/dev/null)" = "$state" ]; then
            return
        fi
    done
    say "Installing Rascal and its group '$group' into $venv"
    "$venv/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
    "$venv/bin/python" -m pip install --quiet --group "$group" -e '.[demo]' -c constraints.txt
    printf '%s\n' "$state" | tee "$venv/.rascal-demo.stamp" >"$venv/.rascal-$group.stamp"
}

# apt_install PACKAGE…: without starting the services that come with them.
apt_install() {
    command -v apt-get >/dev/null || return 1
    as_root true 2>/dev/null || return 1
    local policy=/usr/sbin/policy-rc.d ours=no log status=0
    log=$(mktemp)
    if [ ! -e $policy ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    {
        as_root apt-get update -qq -o DPkg::Lock::Timeout=300 || true
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
            --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
    } >"$log" 2>&1 || status=$?
    [ $ours = no ] || as_root rm -f $policy
    [ $status = 0 ] || tail -n 2 "$log"
    rm -f "$log"
    return $status
}

has() { PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null; }

# The browser that looks at the panel, what drives it, and what the panel's tests need beside it.
install_browser() {
    make_environment browser
    local wanted=()
    if [ "${RASCAL_SERVERS:-yes}" != no ]; then
        has chromium || has chromium-browser || has google-chrome || wanted+=(chromium fonts-inter)
        has redis-server || wanted+=(redis-server)
        if [ ${#wanted[@]} -gt 0 ]; then
            say "Installing ${wanted[*]}"
            apt_install "${wanted[@]}" || echo "could not install ${wanted[*]}"
        fi
    fi
    has chromium || has chromium-browser || has google-chrome ||
        echo "no Chromium is here: its tests are skipped"
}

# The servers that the integration tests start; those that cannot be had are skipped there.
install_servers() {
    export PATH="$PATH:/usr/sbin:/usr/local/sbin"
    local program package wanted=() last
    if [ "${RASCAL_SERVERS:-yes}" != no ]; then
        while read -r program package; do
            has "$program" || wanted+=("$package")
        done <<<$'redis-server redis-server\nmemcached memcached\nmariadbd mariadb-server\nnginx nginx\nwrk wrk'
        if [ ${#wanted[@]} -gt 0 ]; then
            say "Installing ${wanted[*]}"
            apt_install "${wanted[@]}" || echo "could not install ${wanted[*]}"
        fi
        if [ -x script/get-mysql ]; then
            say "Fetching a MySQL server, unless it is here already"
            if last=$(timeout 900 script/get-mysql 2>&1); then
                echo "MySQL is in ${last##*$'\n'}"
            else
                echo "no MySQL: ${last##*$'\n'}"
            fi
        fi
    fi
    for program in redis-server memcached mariadbd nginx; do
        has "$program" || echo "$program is not here: its tests are skipped"
    done
}
