"""Measures LightGBM's own single-row fast path on the rows of the bench `forecast`, on one thread.

    python3 -m venv target/lightgbm && target/lightgbm/bin/pip install lightgbm==4.5.0 numpy
    DFAAS_REFERENCE_DATA=... target/lightgbm/bin/python dfaas-agent/benches/lightgbm_predictor.py [NANOSECONDS]

NANOSECONDS is what the bench printed for "one row, three models"; the ratio is printed then. The calls go through
ctypes with everything prepared beforehand, and what an empty call costs is measured and taken off.
"""

import csv
import ctypes
import gzip
import os
import sys
import time

import lightgbm.basic
import numpy

METRICS = ["cpu_usage_node", "ram_usage_node", "power_usage_node"]
FLOAT64 = 1
NORMAL = 0
ROUNDS = 50


def main():
    folder = os.path.join(os.environ["DFAAS_REFERENCE_DATA"], "forecaster")
    library = ctypes.CDLL(lightgbm.basic._LIB._name)
    with open(os.path.join(folder, "forecaster_golden.csv"), newline="") as file:
        rows = [[float(value) for value in row[:4]] for row in list(csv.reader(file))[1:]]
    # Scaled as for training.
    rows = numpy.array(rows) / numpy.array([90.0, 570.0, 200.0, 2.0])
    configs = [config(library, folder, metric) for metric in METRICS]
    pointers = [row.ctypes.data_as(ctypes.c_void_p) for row in rows]
    length, result = ctypes.c_int64(), ctypes.c_double()
    length_at, result_at = ctypes.byref(length), ctypes.byref(result)
    predict = library.LGBM_BoosterPredictForMatSingleRowFast
    empty = library.LGBM_GetLastError
    empty.restype = ctypes.c_void_p
    calls = 3 * len(rows) * ROUNDS

    def run(call):
        start = time.thread_time_ns()
        for _ in range(ROUNDS):
            for row in pointers:
                for handle in configs:
                    call(handle, row, length_at, result_at)
        return (time.thread_time_ns() - start) / calls * 3

    if predict(configs[0], pointers[0], length_at, result_at) != 0:
        sys.exit("LightGBM refuses the row")
    # The best of several: other programs only ever add time.
    whole = min(run(predict) for _ in range(5))
    overhead = min(run(lambda *_: empty()) for _ in range(5))
    direct = min(run(lambda *_: None) for _ in range(5))
    calling = overhead - direct
    print(f"one row, three models: {whole:.0f} ns with Python around it, of which {direct:.0f} ns loop")
    native = whole - overhead
    print(f"LightGBM alone, at least: {native:.0f} ns (an empty call through ctypes, {calling:.0f} ns, taken off)")
    if len(sys.argv) > 1:
        ours = float(sys.argv[1])
        print(f"ratio: {native / ours:.1f} to {whole / ours:.1f}")


def config(library, folder, metric):
    path = os.path.join(folder, "models", f"{metric}.regression.lgb.txt.gz")
    with gzip.open(path, "rb") as file:
        text = file.read()
    booster, iterations, handle = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_void_p()
    check(library.LGBM_BoosterLoadModelFromString(ctypes.c_char_p(text), ctypes.byref(iterations), ctypes.byref(booster)))
    parameters = ctypes.c_char_p(b"num_threads=1")
    check(library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster, NORMAL, 0, -1, FLOAT64, 4, parameters, ctypes.byref(handle)))
    return handle


def check(code):
    if code != 0:
        sys.exit("LightGBM reports an error")


main()
