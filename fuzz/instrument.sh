#!/bin/sh
# As RUSTC_WRAPPER: compiles the proxy so that libFuzzer sees which code an input reaches and what it is compared with, and
# everything else as always. A stable compiler does.
rustc=$1
shift
case " $* " in
*" --crate-name defender_proxy "*" --emit="*link*)
    set -- "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$rustc" "$@"
