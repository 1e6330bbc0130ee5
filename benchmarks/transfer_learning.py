"""What a former network is worth where examples are few: some classes first, then others with k examples of each.

letters, then digits: characters drawn askew by Pillow in its own font, 12 by 12 pixels with noise. A network has seen
100 pictures of each capital letter; others then learn to tell the ten digits apart.
digits 0 to 4, then 5 to 9: scikit-learn's scanned digits. A network has seen all rows of the first five.

Networks of the family mlp are trained as the stage `retrain` trains them: all epochs, no validation rows. From scratch
and from the former network they have the same config, rows and seeds: the default config, but pixels are not embedded,
and batches are of 16, as rows are few. The score is the accuracy on rows that no network has seen. The gain is paired:
mean and standard error over the seeds, each of which draws its own examples, former network and first weights.

    python -m benchmarks.transfer_learning [--seeds 10]
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from string import ascii_uppercase, digits

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

from hone import metrics, models
from hone.data.preprocessing import Arrays
from hone.data.problem import Problem
from hone.models.former import PRETRAINED, SCRATCH, Former, with_start
from hone.seeds import derive, numpy_generator
from hone.training import Settings, TrainingData, load_network, predict, train
from hone.trial import Config

EPOCHS = 54
EXAMPLES = (5, 10, 20)
DRAWN, PIXELS = 48, 12  # edges of a picture as it is drawn, and as networks see it
FONT = ImageFont.load_default(size=26)


@dataclass(frozen=True)
class Transfer:
    """Classes to learn first, and others to learn then.

    before: rows of the first. few: from a seed and a number of examples of each of the others to those, and to rows of
    the others that are never trained on.
    """

    name: str
    old: Problem
    new: Problem
    before: Arrays
    few: Callable[[int, int], tuple[Arrays, Arrays]]


def problem_of(classes: Sequence[str]) -> Problem:
    return Problem(task="multiclass", target="character", metric="accuracy", classes=tuple(classes))


def drawn(character: str, random: np.random.Generator) -> NDArray[np.float32]:
    """Return a character turned by up to 20 degrees, scaled, sheared, shifted, and with noise, [PIXELS²]."""
    picture, middle = Image.new("L", (DRAWN, DRAWN)), np.full(2, DRAWN / 2)
    ImageDraw.Draw(picture).text(tuple(middle), character, fill=255, font=FONT, anchor="mm")
    angle, scale, shear = random.uniform(-0.35, 0.35), random.uniform(0.8, 1.25), random.uniform(-0.25, 0.25)
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    matrix = np.array([[cos, sin + shear], [-sin, cos]])
    offset = middle - matrix @ (middle + random.uniform(-4, 4, 2))
    data = (*matrix[0], offset[0], *matrix[1], offset[1])
    askew = picture.transform((DRAWN, DRAWN), Image.Transform.AFFINE, data, resample=Image.Resampling.BILINEAR)
    small = askew.crop((6, 6, DRAWN - 6, DRAWN - 6)).resize((PIXELS, PIXELS), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float32) / 255 + random.normal(0, 0.1, (PIXELS, PIXELS))
    return pixels.astype(np.float32).ravel()


def pictures(characters: str, n: int, random: np.random.Generator) -> Arrays:
    """Return n pictures of each character."""
    x = np.stack([drawn(character, random) for character in characters for _ in range(n)])
    return arrays(x, np.repeat(np.arange(len(characters)), n))


def arrays(x: NDArray[np.float32], y: NDArray[np.int64]) -> Arrays:
    return Arrays(x, np.zeros((len(x), 0), np.int64), y)


def letters_then_digits() -> Transfer:
    letters = pictures(ascii_uppercase, 100, numpy_generator(0, "letters"))
    held = pictures(digits, 100, numpy_generator(0, "held"))
    return Transfer(
        "letters, then digits",
        problem_of(ascii_uppercase),
        problem_of(digits),
        letters,
        lambda seed, n: (pictures(digits, n, numpy_generator(seed, "examples", n)), held),
    )


def digits_then_others() -> Transfer:
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    new = arrays(x[y >= 5], y[y >= 5] - 5)

    def few(seed: int, n: int) -> tuple[Arrays, Arrays]:
        order = numpy_generator(seed, "examples", n).permutation(len(new))
        chosen = np.concatenate([order[new.y[order] == code][:n] for code in range(5)])
        return new.take(np.sort(chosen)), new.take(np.setdiff1d(order, chosen))

    first = arrays(x[y < 5], y[y < 5])
    return Transfer("digits 0 to 4, then 5 to 9", problem_of(digits[:5]), problem_of(digits[5:]), first, few)


def trained(rows: Arrays, problem: Problem, config: Config, seed: int, former: Former | None = None) -> Former:
    """Return a network trained on all rows."""
    inputs = models.inputs_of(rows, problem, ())
    data = TrainingData(train=rows, validation=None, problem=problem, inputs=inputs)
    settings = Settings(epochs=EPOCHS, metric=problem.metric, gradient_clip=1.0)
    _, checkpoint = train(config, "mlp", data, settings, resource=EPOCHS, seed=seed, former=former)
    assert checkpoint is not None
    return Former(checkpoint.weights(), "mlp", config, problem)


def accuracies(transfer: Transfer, former: Former, n: int, seed: int) -> tuple[float, float]:
    """Return the accuracy from scratch and from the former network, on the same n examples of each class."""
    seen, held = transfer.few(seed, n)
    space = with_start(models.default_space("mlp"), EPOCHS)
    scores = []
    for start in (SCRATCH, PRETRAINED):
        config = space.trimmed({**space.defaults, "embedding": "none", "batch_size": 16, "start": start})
        network = trained(seen, transfer.new, config, derive(seed, "fine", n), former)
        model = load_network("mlp", config, models.inputs_of(seen, transfer.new, ()), network.weights)
        prediction = predict(model, held, transfer.new, 0.0, 1.0)
        scores.append(metrics.score("accuracy", transfer.new, held.y, prediction))
    return scores[0], scores[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    config = {**models.default_space("mlp").default, "embedding": "none"}
    print(f"accuracy with k examples of each class; means over {len(seeds)} seeds, gain ± standard error")
    for transfer in (letters_then_digits(), digits_then_others()):
        old = [trained(transfer.before, transfer.old, config, derive(seed, "former")) for seed in seeds]
        for n in EXAMPLES:
            scores = [accuracies(transfer, old[seed], n, seed) for seed in seeds]
            scratch, pretrained = (fmean(score) for score in zip(*scores, strict=True))
            gains = [after - before for before, after in scores]
            error = stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else math.nan
            print(
                f"{transfer.name}, k = {n}: from scratch {scratch:.3f}, pretrained {pretrained:.3f}, "
                f"gain {fmean(gains):+.3f} ± {error:.3f}"
            )


if __name__ == "__main__":
    main()
