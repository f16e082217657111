"""Local weight files: each format saved by the library that owns it, read back to the same weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from edgekit.converters.digest import weights_sha256
from edgekit.converters.records import SourceOptions
from edgekit.converters.sources import open_clip_model, open_clip_request
from edgekit.converters.sources.open_clip import load
from edgekit.converters.torch_compat import prepare
from edgekit.errors import ConversionError, InputError, UnsupportedModelError

CONFIG = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SIGLIP = {
    "embed_dim": 64,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "map", "timm_proj": "none"},
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 300,
        "width": 32,
        "heads": 2,
        "layers": 2,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
    },
}


@pytest.fixture(scope="module", autouse=True)
def prepared():
    prepare()


@pytest.fixture
def config_path(write_config):
    return write_config("files-clip", CONFIG)


@pytest.fixture
def trained(config_path):
    """A model whose weights no random initialization gives."""
    model = open_clip_model.create(open_clip_request.parse(str(config_path)))
    with torch.no_grad():
        for number, tensor in enumerate(model.parameters()):
            tensor.add_(0.01 * (number + 1))
    return model


def create(path, file):
    return open_clip_model.create(open_clip_request.parse(f"{path}:{file}"))


def save_pt(model, path):
    torch.save(model.state_dict(), path)


def save_training(model, path):
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": state}, path)


def save_safetensors(model, path):
    safetensors.torch.save_model(model, str(path))


def save_half(model, path):
    torch.save({name: value.half() for name, value in model.state_dict().items()}, path)


@pytest.mark.parametrize(
    ("save", "name"),
    [(save_pt, "w.pt"), (save_training, "w.pt"), (save_pt, "w.bin"), (save_safetensors, "w.safetensors")],
)
def test_saved_weights_come_back(save, name, trained, config_path, tmp_path):
    save(trained, tmp_path / name)
    assert weights_sha256({"m": create(config_path, tmp_path / name)}) == weights_sha256({"m": trained})


def test_half_precision_weights_become_float32(trained, config_path, tmp_path):
    save_half(trained, tmp_path / "w.pt")
    model = create(config_path, tmp_path / "w.pt")
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    torch.testing.assert_close(model.text_projection, trained.text_projection.half().float())


class Archive(torch.nn.Module):
    """As OpenAI publishes: a traced model with its sizes among the weights."""

    def __init__(self, model):
        super().__init__()
        for name, child in model.named_children():
            setattr(self, name, child)
        for name in ("positional_embedding", "text_projection", "logit_scale"):
            setattr(self, name, getattr(model, name))
        for name, value in (("input_resolution", 32), ("context_length", 12), ("vocab_size", 49408)):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, images):
        scale = self.logit_scale * self.input_resolution + self.context_length + self.vocab_size
        words = self.positional_embedding.sum() + self.text_projection.sum() + self.token_embedding.weight.sum()
        text = self.ln_final(self.transformer(self.positional_embedding[None, :, :])).sum()
        return self.visual(images) * scale + words + text


def save_archive(model, path):
    with torch.no_grad():
        torch.jit.trace(Archive(model).eval(), torch.zeros(1, 3, 32, 32), check_trace=False).save(str(path))


def test_a_torchscript_archive_gives_its_weights(trained, config_path, tmp_path):
    save_archive(trained, tmp_path / "ViT.pt")
    assert weights_sha256({"m": create(config_path, tmp_path / "ViT.pt")}) == weights_sha256({"m": trained})


def test_a_torchscript_archive_needs_the_quickgelu_twin(trained, write_config, tmp_path):
    save_archive(trained, tmp_path / "ViT.pt")
    path = write_config("files-gelu", {**CONFIG, "quick_gelu": False})
    with pytest.raises(InputError, match="QuickGELU"):
        create(path, tmp_path / "ViT.pt")


def big_vision(model):  # noqa: C901  a list of names
    """Arrays of a model under the names and in the layouts of big_vision's SigLIP checkpoints."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    arrays = {}

    def dense(target, weight, bias):
        arrays[f"{target}/kernel"], arrays[f"{target}/bias"] = state[weight].T, state[bias]

    def norm(target, source):
        arrays[f"{target}/scale"], arrays[f"{target}/bias"] = state[f"{source}.weight"], state[f"{source}.bias"]

    def heads(target, weight, bias, count):
        """(D, D) to (D, heads, D / heads)."""
        width = weight.shape[0]
        arrays[f"{target}/kernel"] = weight.T.reshape(-1, count, width // count)
        arrays[f"{target}/bias"] = bias.reshape(count, width // count)

    def attention(target, weight, bias, out_weight, out_bias, count, names=("query", "key", "value")):
        for name, w, b in zip(names, np.split(weight, len(names)), np.split(bias, len(names)), strict=True):
            heads(f"{target}/{name}", w, b, count)
        width = out_weight.shape[0]
        arrays[f"{target}/out/kernel"] = out_weight.T.reshape(count, width // count, width)
        arrays[f"{target}/out/bias"] = out_bias

    trunk = model.visual.trunk
    count = trunk.blocks[0].attn.num_heads
    v = "visual.trunk."
    arrays["params/img/embedding/kernel"] = state[v + "patch_embed.proj.weight"].transpose(2, 3, 1, 0)
    arrays["params/img/embedding/bias"] = state[v + "patch_embed.proj.bias"]
    arrays["params/img/pos_embedding"] = state[v + "pos_embed"]
    if trunk.cls_token is not None:
        arrays["params/img/cls"] = state[v + "cls_token"]
    for i in range(len(trunk.blocks)):
        target, source = f"params/img/Transformer/encoderblock_{i}", f"{v}blocks.{i}."
        norm(f"{target}/LayerNorm_0", f"{source}norm1")
        norm(f"{target}/LayerNorm_1", f"{source}norm2")
        attention(
            f"{target}/MultiHeadDotProductAttention_0",
            *(
                state[source + name]
                for name in ("attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias")
            ),
            count,
        )
        for r in range(2):
            dense(f"{target}/MlpBlock_0/Dense_{r}", f"{source}mlp.fc{r + 1}.weight", f"{source}mlp.fc{r + 1}.bias")
    norm("params/img/Transformer/encoder_norm", v + "norm")
    pool, p = "params/img/MAPHead_0", v + "attn_pool."
    arrays[f"{pool}/probe"] = state[p + "latent"]
    count = trunk.attn_pool.num_heads
    mha = f"{pool}/MultiHeadDotProductAttention_0"
    parts = (state[p + name] for name in ("kv.weight", "kv.bias", "proj.weight", "proj.bias"))
    attention(mha, *parts, count, names=("key", "value"))
    heads(f"{mha}/query", state[p + "q.weight"], state[p + "q.bias"], count)
    norm(f"{pool}/LayerNorm_0", p + "norm")
    for r in range(2):
        dense(f"{pool}/MlpBlock_0/Dense_{r}", f"{p}mlp.fc{r + 1}.weight", f"{p}mlp.fc{r + 1}.bias")

    arrays["params/txt/Embed_0/embedding"] = state["text.token_embedding.weight"]
    arrays["params/txt/pos_embedding"] = state["text.positional_embedding"][None]
    for i in range(len(model.text.transformer.resblocks)):
        target, source = f"params/txt/Encoder_0/encoderblock_{i}", f"text.transformer.resblocks.{i}."
        norm(f"{target}/LayerNorm_0", f"{source}ln_1")
        norm(f"{target}/LayerNorm_1", f"{source}ln_2")
        names = ("attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias")
        attention(f"{target}/MultiHeadDotProductAttention_0", *(state[source + name] for name in names), 2)
        for r, name in enumerate(("c_fc", "c_proj")):
            dense(f"{target}/MlpBlock_0/Dense_{r}", f"{source}mlp.{name}.weight", f"{source}mlp.{name}.bias")
    norm("params/txt/Encoder_0/encoder_norm", "text.ln_final")
    dense("params/txt/head", "text.text_projection.weight", "text.text_projection.bias")
    arrays["params/b"], arrays["params/t"] = state["logit_bias"][None], state["logit_scale"][None]
    return arrays


def test_a_big_vision_archive_comes_back(write_config, tmp_path):
    path = write_config("files-siglip", SIGLIP)
    model = open_clip_model.create(open_clip_request.parse(str(path)))
    with torch.no_grad():
        for number, tensor in enumerate(model.parameters()):
            tensor.add_(0.01 * (number + 1))
    arrays = big_vision(model)
    np.savez(tmp_path / "w.npz", **arrays)
    assert weights_sha256({"m": create(path, tmp_path / "w.npz")}) == weights_sha256({"m": model})
    del arrays["params/txt/pos_embedding"]
    np.savez(tmp_path / "partial.npz", **arrays)
    with pytest.raises(InputError, match=r"partial\.npz.*pos_embedding"):
        create(path, tmp_path / "partial.npz")


def test_weights_of_another_architecture_name_the_first_differences(trained, write_config, tmp_path):
    save_pt(trained, tmp_path / "w.pt")
    deeper = {**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], "layers": 3}}
    with pytest.raises(InputError) as caught:
        create(write_config("files-deeper", deeper), tmp_path / "w.pt")
    message = str(caught.value)
    assert "missing visual.transformer.resblocks.1.ln_1.weight" in message
    assert "and 20 more" in message
    assert len(message) < 500
    wider = {**CONFIG, "embed_dim": 20}
    with pytest.raises(InputError, match=r"size mismatch for text_projection.*16.*20"):
        create(write_config("files-wider", wider), tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.bin", "w.safetensors", "w.npz"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 50, b"not weights at all" * 40], ids=["empty", "zeros", "text"])
def test_damaged_files_are_refused(name, content, config_path, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        create(config_path, tmp_path / name)


def test_a_truncated_file_is_refused(trained, config_path, tmp_path):
    for save, name in ((save_pt, "w.pt"), (save_safetensors, "w.safetensors"), (save_archive, "a.pt")):
        save(trained, tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match=name):
            create(config_path, tmp_path / name)


def test_a_pickle_with_code_is_not_run(config_path, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"visual.proj": Harm()}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"w\.pt"):
        create(config_path, tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()


def test_an_unknown_trunk_is_unsupported(write_config):
    vision = {"timm_model_name": "no_such_trunk", "image_size": 32}
    path = write_config("files-trunk", {**CONFIG, "vision_cfg": vision})
    with pytest.raises(UnsupportedModelError, match=r"files-trunk.*no_such_trunk"):
        open_clip_model.create(open_clip_request.parse(str(path)))


def test_a_setting_open_clip_does_not_know_is_unsupported(write_config):
    path = write_config("files-setting", {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], "rotary": True}})
    with pytest.raises(UnsupportedModelError, match="rotary"):
        open_clip_model.create(open_clip_request.parse(str(path)))


def test_random_weights_are_the_same_on_every_call_and_leave_the_callers_generator(config_path):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = load(str(config_path), SourceOptions())
    assert torch.rand(1) == expected
    second = load(str(config_path), SourceOptions())
    assert first.weights_sha256 == second.weights_sha256
    assert "random weights" in first.description


def test_the_digest_follows_the_weights_and_not_the_file(trained, config_path, tmp_path):
    save_pt(trained, tmp_path / "a.pt")
    save_safetensors(trained, tmp_path / "b.safetensors")
    found = [load(f"{config_path}:{tmp_path / name}", SourceOptions()) for name in ("a.pt", "b.safetensors")]
    assert found[0].weights_sha256 == found[1].weights_sha256
    assert found[0].weights_sha256 != load(str(config_path), SourceOptions()).weights_sha256
    assert found[0].name == "files-clip-a"
    assert "a.pt" in found[0].description


def test_a_checkpoint_folder(trained, tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"}
    config = {"model_cfg": CONFIG, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="no weights there"):
        load(f"local-dir:{folder}", SourceOptions())
    save_safetensors(trained, folder / "open_clip_model.safetensors")
    source = load(f"local-dir:{folder}", SourceOptions())
    assert source.name == "release"
    assert source.image.mean == (0.5, 0.5, 0.5)
    assert (source.image.resize_mode, source.image.shortest_edge) == ("squash", 0)
    assert source.text.context_length == 12
    assert "random" not in source.description


def test_a_text_tower_that_does_not_run_is_reported(write_config, tmp_path):
    import transformers

    transformers.RobertaConfig(
        vocab_size=10, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    ).save_pretrained(tmp_path / "text")
    text = {"hf_model_name": str(tmp_path / "text"), "hf_proj_type": "linear", "context_length": 12}
    path = write_config("files-vocabulary", {**CONFIG, "text_cfg": text})
    with pytest.raises(ConversionError, match="does not run on this tokenizer's ids"):
        load(str(path), SourceOptions())
