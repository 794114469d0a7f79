#!/bin/sh
# In place of rustc for the crates of this workspace alone (RUSTC_WORKSPACE_WRAPPER): marks every edge of the code and every
# comparison for the engine. Dependencies are those of every other build. Build scripts run without the engine.
case " $* " in
*" --crate-name build_script_"*) exec "$@" ;;
esac
exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
