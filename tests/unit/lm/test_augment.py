"""Views of a text: pieces dropped, tokens masked, embeddings perturbed."""

import numpy as np
import pytest
import torch

from tailor.lm.augment import EmbeddingPerturbation, drop_pieces, mask_tokens
from tailor.lm.encoder import Tokens


def test_masking_spares_special_tokens_and_padding():
    tokens = Tokens([[1, 5, 6, 2], [1, 2]], pad=0, n_truncated=0, mask=9, special=(0, 1, 2, 9))
    batch, where = mask_tokens(tokens.batch(np.array([0, 1])), tokens, 0.999999, torch.Generator().manual_seed(0))
    assert batch["input_ids"].tolist() == [[1, 9, 9, 2], [1, 2, 0, 0]]
    assert where.sum() == 2


def test_the_adversarial_step_has_its_length_and_raises_the_loss():
    torch.manual_seed(0)
    embedding, target = torch.nn.Embedding(10, 6).requires_grad_(False), torch.randn(2, 6)
    perturbation, seen = EmbeddingPerturbation(embedding), []

    def loss():
        out = embedding(torch.tensor([[1, 2, 3], [4, 5, 6]]))
        seen.append(out)
        return ((out.mean(dim=1) - target) ** 2).sum()

    with perturbation.watch():
        before = loss()
        before.backward()
    with perturbation.perturb(0.1):
        after = loss()
    step = (seen[1] - seen[0]).detach()
    np.testing.assert_allclose(step.norm(dim=(1, 2)), 0.1 * seen[0].detach().norm(dim=(1, 2)), rtol=1e-5)
    assert after > before
    assert loss() == before
    with pytest.raises(RuntimeError, match="comes after a backward pass"), perturbation.perturb(0.1):
        pass


def test_a_view_drops_pieces_but_never_all():
    rng = np.random.default_rng(0)
    pieces = [["a", "b", "c"]] * 2000
    views = drop_pieces(pieces, 0.5, rng)
    # P(all three stay) = 1/8; P(one is left) = 3/8 + 1/8 of the draws where all would have gone.
    assert np.mean([v == "a. b. c" for v in views]) == pytest.approx(1 / 8, abs=0.03)
    assert np.mean([len(v) == 1 for v in views]) == pytest.approx(4 / 8, abs=0.04)
    assert drop_pieces([[], ["x"]], 0.99, rng) == ["", "x"]
    assert drop_pieces(pieces[:1], 0.0, rng) == ["a. b. c"]
