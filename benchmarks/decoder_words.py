"""`python benchmarks/decoder_words.py`: do base models tell what wishes mean, by cosines with descriptions?

English wishes for one category of MovieLens-100K, without exclusions; the share whose category is first among the
descriptions of conf/base. For MiniLM and SmolLM2, as they are, and with the mean of the descriptions taken off.
"""

import numpy as np
import yaml
from catalogues import ROOT, prepare
from cold_start import lm_options

from tailor.lm.text_encoder import TextEncoder
from tailor.lm.whitening import Whitening


def main() -> None:
    """Print a line for each base model."""
    rows = yaml.safe_load((ROOT / "benchmarks" / "wishes" / "movielens.yaml").read_text())
    rows = [row for row in rows if row["language"] == "en" and len(row.get("wanted", [])) == 1]
    rows = [row for row in rows if not row.get("excluded")]
    for env in ("base", "decoder"):
        catalogue = prepare(env, 0)
        descriptions = catalogue.params["feature_engineering"]["text"]["categories"]["descriptions"]
        encoder = TextEncoder.merge(None, Whitening(np.zeros(1, np.float32)), lm_options(catalogue, {}).encoder)
        known, asked = encoder.encode(list(descriptions.values())), encoder.encode([row["text"] for row in rows])
        right = np.array([list(descriptions).index(row["wanted"][0]) for row in rows])
        for name, centre in (("as they are", np.zeros_like(known[0])), ("centred", known.mean(axis=0))):
            first = (asked - centre) @ (known - centre).T / np.linalg.norm(known - centre, axis=1)
            share = float((first.argmax(axis=1) == right).mean())
            print(f"{env}: {name}: {share:.3f} of {len(rows)}; mean cosine {float((asked @ known.T).mean()):.2f}")


if __name__ == "__main__":
    main()
