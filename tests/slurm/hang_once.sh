#!/bin/sh
# Launches a fine-tuning, in place of python; the first one of the experiment smoke_symbols hangs instead.
# Use: EMTRANSFER_LAUNCH="tests/slurm/hang_once.sh FOLDER", where FOLDER is made by the one that hangs
hung=$1
shift
case "$*" in
    *results/smoke_symbols/*)
        if mkdir "$hung" 2> /dev/null; then exec sleep 900; fi
        ;;
esac
exec python "$@"
