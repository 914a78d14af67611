import json

from benchmarks.model_cycles import RESULTS, machines, measure, mismatches, networks
from compiler.model.onchip import layer_cycles


def test_there_are_twenty_machines_of_all_engines_and_three_networks():
    found = list(machines())
    assert len(found) == 20 and len({machine.fingerprint for machine in found}) == 20
    assert {machine.engine for machine in found} == {"shift_gemm", "conv5x5", "svpe", "vpe"}
    for machine in found[::5]:
        for graph in networks(machine.activation_bits).values():
            assert sum(layer_cycles(graph, machine, {}).values()) > 0


def test_the_rtl_of_a_machine_counts_what_is_predicted():
    rows = measure(next(machines()), lambda *_: None)
    assert [row["network"] for row in rows] == ["pointwise", "residual", "depthwise"]
    assert mismatches(rows) == 0 and all(row["rtl"] > 100 for row in rows)


def test_all_kept_predictions_were_right():
    rows = json.loads(RESULTS.read_text())
    known = [f"{one.name}-a{one.activation_bits}" for one in machines()]
    kept = [row["machine"] for row in rows[::3]]
    assert kept == known[: len(kept)] and len(rows) == 3 * len(kept) >= 45
    assert mismatches(rows) == 0
    assert mismatches([{"model": 1, "program": 1, "rtl": 2}]) == 1
