from compiler.mapping import Way
from compiler.model.outline import outline
from compiler.model.work import fewest_steps, workload
from quant.imagenet_shapes import imagenet_shape
from tests.compiler.model.shapes import MACHINES, networks


def test_works_follow_the_network():
    for graph in networks():
        for architecture in MACHINES:
            found = workload(graph, architecture)
            assert [work.owner for work in found.works] == [layer.name for layer in graph.layers]
            for work, layer in zip(found.works, graph.layers):
                assert work.output[:2] == layer.shape[1:]
                assert work.macs == getattr(layer, "macs", 0)
                assert bool(work.ways) != (work.owner.startswith("pool"))


def test_a_depthwise_layer_follows_its_blocks():
    works = {work.owner: work for work in workload(networks()[0], MACHINES[0]).works}
    assert works["depth"].follows and works["mean"].follows and not works["b"].follows
    assert works["b"].residual and works["skip"].copies == 1 and works["pool"].copies == 9


def test_a_way_that_only_takes_more_steps_is_left_out():
    ways = [Way(4, False, 1, 2), Way(3, False, 1, 2), Way(5, False, 2, 1), Way(9, True, 1, 2)]
    assert set(fewest_steps(ways)) == {ways[1], ways[2], ways[3]}


def test_equal_layers_have_equal_shapes():
    works = workload(outline(imagenet_shape("resnet18")), MACHINES[0]).works
    names = {work.owner: work.shape for work in works}
    assert names["layer1.0.conv1.relu"] == names["layer1.1.conv1.relu"]
    assert names["layer1.0.conv1.relu"] != names["layer1.0.add.relu"]
