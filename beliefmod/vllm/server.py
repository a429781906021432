"""Runs in the Python that has vLLM, which may be another one than ours: imports nothing of beliefmod.

`python -P server.py look ARCHITECTURE` prints what vLLM makes of an architecture, as one line of JSON.
`python -P server.py serve SETTINGS` reads orders from standard input, a JSON object on each line, and writes
replies to what standard output was when it started; vLLM's own words go to standard error.

    {"call": 1, "adapters": {"1-a": FOLDER}, "max_new_tokens": 96, "sampling": {...}, "eos_ids": [2],
     "requests": [{"adapter": "1-a", "ids": [5, 6], "seed": 3}, ...]}   -> as each ends, in any order:
    {"call": 1, "index": 0, "ids": [7, 2], "end": "eos"}, or {"call": 1, "error": WORDS} and no more of it
"""

# vLLM is not in the environment that is checked
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import itertools
import json
import os
import queue
import sys
import threading

GREEDY = {"temperature": 0.0}


def look(architecture):
    """Whether vLLM has an architecture, and takes adapters for it."""
    import vllm
    from vllm.model_executor.models.interfaces import supports_lora
    from vllm.model_executor.models.registry import ModelRegistry

    known = architecture in ModelRegistry.get_supported_archs()
    found = {"version": vllm.__version__, "known": known, "adapters": False}
    if known:
        found["adapters"] = bool(supports_lora(ModelRegistry.models[architecture].load_model_cls()))
    return found


class Server:
    """One vLLM engine in this process; requests join while others are being answered."""

    def __init__(self, settings, reply):
        import vllm
        from vllm import EngineArgs, LLMEngine

        rank = settings.pop("max_lora_rank")
        lora = {"enable_lora": True, "max_lora_rank": rank, "max_loras": settings.pop("max_loras")}
        made = EngineArgs(
            **settings,
            **(lora if rank else {}),
            skip_tokenizer_init=True,
            generation_config="vllm",  # nothing of the model's own: whoever asks says how answers are written
            disable_log_stats=True,
            seed=0,
        )
        self.engine = LLMEngine.from_engine_args(made)
        self.reply = reply
        self.numbers = {}  # adapter -> the number that vLLM knows it by
        self.unused = itertools.count(1)
        self.left = {}  # call -> requests without an answer, its adapters
        length = self.engine.model_config.max_model_len
        reply({"ready": {"version": vllm.__version__, "max_model_len": length}})

    def take(self, order):
        """Put the requests of an order to the engine."""
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest
        from vllm.sampling_params import RequestOutputKind

        call = order["call"]
        self.left[call] = (len(order["requests"]), list(order["adapters"]))
        for name in order["adapters"]:
            self.numbers[name] = next(self.unused)
        for index, request in enumerate(order["requests"]):
            name = request["adapter"]
            lora = None if name is None else LoRARequest(name, self.numbers[name], order["adapters"][name])
            sampling = order["sampling"] or GREEDY
            params = SamplingParams(
                **sampling,
                seed=request["seed"] if order["sampling"] else None,
                max_tokens=min(order["max_new_tokens"], order["positions"] - len(request["ids"])),
                stop_token_ids=order["eos_ids"],
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            prompt = {"prompt_token_ids": request["ids"]}
            self.engine.add_request(f"{call}:{index}", prompt, params, lora_request=lora)

    def step(self):
        """Let the engine write the next tokens, and hand over what has ended."""
        for output in self.engine.step():
            if not output.finished:
                continue
            call, index = map(int, output.request_id.split(":"))
            answer = output.outputs[0]
            end = {"stop": "eos", "length": "length"}.get(answer.finish_reason)
            if end is None:
                raise RuntimeError(f"vLLM ended an answer with {answer.finish_reason!r}")
            self.reply({"call": call, "index": index, "ids": list(answer.token_ids), "end": end})
            count, adapters = self.left[call]
            self.left[call] = (count - 1, adapters)
            if count == 1:
                del self.left[call]
                for name in adapters:
                    self.engine.remove_lora(self.numbers.pop(name))

    def run(self, orders):
        """Answer until standard input ends."""
        while True:
            busy = self.engine.has_unfinished_requests()
            try:
                order = orders.get(block=not busy)
            except queue.Empty:
                self.step()
                continue
            if order is None:
                return
            try:
                self.take(order)
            except Exception as error:
                self.engine.abort_request(
                    [f"{order['call']}:{index}" for index in range(len(order["requests"]))]
                )
                self.left.pop(order["call"], None)
                self.reply({"call": order["call"], "error": f"{type(error).__name__}: {error}"})


def serve(settings):
    """Start the engine and answer."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what vLLM and its libraries print must not lie between replies

    def reply(content):
        out.write(json.dumps(content) + "\n")
        out.flush()

    orders = queue.Queue()

    def read():
        for line in sys.stdin:
            orders.put(json.loads(line))
        orders.put(None)

    threading.Thread(target=read, daemon=True).start()
    Server(settings, reply).run(orders)


def main():
    what, given = sys.argv[1:3]
    if what == "look":
        out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        out.write(json.dumps(look(given)) + "\n")
        out.flush()
    else:
        serve(json.loads(given))
    os._exit(0)  # vLLM's threads would keep a process that has nothing left to do


if __name__ == "__main__":
    main()
