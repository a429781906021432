"""What a host was given by Ray, with a torch that has GPUs only in name."""

import pytest
import torch

from beliefmod.capacity.calibrate import free_bytes
from beliefmod.capacity.choose import Demand
from beliefmod.capacity.fit import DoesNotFit, Gpu, check_fits
from beliefmod.errors import UserError
from beliefmod.fleet.devices import DeviceAllocation, allocate_devices, gpus_here
from beliefmod.model.load import load_tokenizer
from beliefmod.model.source import find_source

GIB = 2**30


@pytest.fixture
def cuda(monkeypatch):
    """Two GPUs of 24 GiB, the first with 20 free; what is set is kept in the dict."""
    state = {"free": 20 * GIB, "reserved": 0, "fraction": None}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"NVIDIA L{index}")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (state["free"], 24 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: state["reserved"])
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share: state.update(fraction=share)
    )
    return state


def allocation(*accelerators: str, managed: bool = True, share: float = 1.0) -> DeviceAllocation:
    return DeviceAllocation(managed, accelerators, share, "m1")


def test_a_host_without_a_gpu_stays_off_gpus_that_torch_sees(cuda):
    assert (allocation().device, allocation().device_name(), allocation().remark) == ("cpu", "cpu", None)
    assert (allocation("1").device, allocation("1").device_name()) == ("cuda:0", "NVIDIA L0")
    # beliefmod trial and tests: nobody gives anything
    assert allocation(managed=False).device == "cuda:0"


def test_a_gpu_that_torch_cannot_use_is_said():
    assert not torch.cuda.is_available()
    assert allocation("0").device == "cpu"
    assert "it holds GPU 0, which torch" in str(allocation("0").remark)
    assert allocate_devices(0.5) == DeviceAllocation(False, (), 0.5, allocate_devices(0.5).machine)


def test_a_host_that_sees_others_gpus_does_not_start(cuda, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    allocation("2").check()
    allocation().check()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    with pytest.raises(UserError, match="gave an engine GPU 2, but its process has CUDA_VISIBLE_DEVICES=0,1"):
        allocation("2").check()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(UserError, match="RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"):
        allocation("2").check()


def test_engines_of_one_gpu_share_its_memory_whoever_comes_first(cuda):
    device = torch.device("cuda:0")
    assert free_bytes(device) == 20 * GIB
    assert (
        allocation("0", share=0.5).free_bytes() == 12 * GIB
    )  # half of all, for the other has not loaded yet
    cuda["free"], cuda["reserved"] = 12 * GIB, 8 * GIB
    assert free_bytes(device, 0.5) == 4 * GIB  # after loading
    cuda["free"] = 3 * GIB
    assert free_bytes(device, 0.5) == 3 * GIB  # somebody else is there
    cuda["reserved"] = 13 * GIB
    assert free_bytes(device, 0.5) == 0


def test_torch_keeps_a_host_to_its_share(cuda):
    allocation("0").keep_to_share()
    allocation(share=0.5).keep_to_share()
    assert cuda["fraction"] is None
    allocation("0", share=0.5).keep_to_share()
    assert cuda["fraction"] == 0.5


def test_gpus_of_this_machine(cuda):
    found = gpus_here()
    assert [(gpu.index, gpu.name) for gpu in found] == [(0, "NVIDIA L0"), (1, "NVIDIA L1")]
    assert found[0] == Gpu(found[0].machine, 0, "NVIDIA L0", 24 * GIB, 20 * GIB)


def check(given: DeviceAllocation, slots: int = 0) -> None:
    source = find_source("bundled")
    wanted = Demand(beliefs=("gravity",)).of_engine(load_tokenizer(source), "dequantized", 8, slots)
    check_fits(source, wanted, given.free_bytes(), given.place, given.on_gpu)


def test_room_is_asked_for_before_a_weight_is_read(cuda, monkeypatch):
    def read(*_, **__):
        raise AssertionError("weights were read")

    monkeypatch.setattr("beliefmod.model.load.load_model", read)
    check(allocation("0"))
    cuda["free"] = 2 * 2**20
    with pytest.raises(DoesNotFit, match="NVIDIA L0 of m1 has 2 MiB free, and an engine needs 5 MiB"):
        check(allocation("0"))
    # slots that were asked for count, those that a host chooses for itself do not
    cuda["free"] = 100 * 2**20
    check(allocation("0"))
    with pytest.raises(DoesNotFit, match=r"500 adapters in training .* give --slots \d+"):
        check(allocation("0"), slots=500)


def test_a_machine_without_a_gpu_is_asked_for_its_memory(monkeypatch):
    check(allocation())
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 10**6}))
    with pytest.raises(DoesNotFit, match="machine m1 has 1 MiB free"):
        check(allocation())
