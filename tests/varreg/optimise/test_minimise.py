"""The descent on small objectives whose answer is known: what it promises, and why it stops."""

import numpy as np
import pytest

from varreg.backends.later import known
from varreg.errors import DivergenceError, VarregError
from varreg.optimise.history import Energy, Stop
from varreg.optimise.lbfgs import LBFGS
from varreg.optimise.line_search import ARMIJO, MOST_BACKTRACKS
from varreg.optimise.minimise import minimise
from varreg.optimise.objective import Evaluation, Move, limited
from varreg.options.options import Options

BOTH = pytest.mark.parametrize("memory", [0, 6])


class Analytic:
    """An objective on R^n from functions of the state; `folds` tells where it is infeasible.

    `kept` has a one for each coordinate that may move on when the first one folds.
    """

    inverse_hessian = 1.0

    def __init__(self, value, slope, folds=lambda x: False, kept=None):
        self.value, self.slope, self.folds, self.kept = value, slope, folds, kept
        self.energies, self.evaded, self.gradients = [], 0, 0

    def evaluate(self, state, ahead=None):
        energy = np.inf if self.folds(state) else self.value(state)
        self.energies.append(energy)
        bound = -1.0 if np.isinf(energy) else 1.0
        return Evaluation(Energy(-energy, 0.0, energy), lambda: self._gradient(state), bound)

    def _gradient(self, state):
        self.gradients += 1
        return self.slope(state)

    def move(self, state, direction, step, largest):
        step = limited(step, self.largest_step(direction), largest)
        return Move(state + step * direction, step * direction, known(step))

    def largest_step(self, direction):
        return float(np.abs(direction).max())

    def largest_displacement(self, state):
        return float(np.abs(state).max())

    def precondition(self, gradient):
        return gradient * self.inverse_hessian

    def direction_off_fold(self, direction):
        self.evaded += 1
        return None if self.kept is None else direction * self.kept


def quadratic(stiffness, centre, **options):
    stiffness, centre = np.array(stiffness, float), np.array(centre, float)
    return Analytic(
        lambda x: float(0.5 * (stiffness * (x - centre) ** 2).sum()) - 3.0,
        lambda x: stiffness * (x - centre),
        **options,
    )


def rosenbrock():
    def value(x):
        return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)

    def slope(x):
        inner = x[1] - x[0] ** 2
        return np.array([-400 * x[0] * inner - 2 * (1 - x[0]), 200 * inner])

    return Analytic(value, slope)


def run(
    objective, start, memory=6, iterations=500, gradient=1e-9, energy=0.0, largest_step=1e9, **place
):  # fmt: skip
    """(the descent, its iterations)."""
    options = Options(
        memory=memory,
        gradient_tolerance=gradient,
        energy_tolerance=energy,
        largest_step=largest_step,
    )
    steps = []
    start = np.array(start, float)
    ended = minimise(objective, start, options, iterations, observe=steps.append, **place)
    return ended, steps


@BOTH
def test_a_quadratic_is_minimised(memory):
    ended, _ = run(quadratic([1.0, 4.0, 9.0], [2.0, -1.0, 0.5]), [0, 0, 0], memory=memory)
    np.testing.assert_allclose(ended.state, [2.0, -1.0, 0.5], atol=1e-7)
    assert ended.evaluation.energy.total == pytest.approx(-3.0)
    assert ended.stop is Stop.GRADIENT
    assert ended.gradient_reduction <= 1e-9


@pytest.mark.parametrize("memory, budget", [(0, 60_000), (6, 100)])
def test_rosenbrocks_valley_is_followed_to_its_end(memory, budget):
    ended, steps = run(rosenbrock(), [-1.2, 1.0], memory=memory, iterations=budget, gradient=1e-8)
    np.testing.assert_allclose(ended.state, [1, 1], atol=1e-4)
    assert ended.iterations < budget


def test_the_memory_pays():
    plain, _ = run(quadratic([1.0, 300.0, 40.0], [1, 1, 1]), [0, 0, 0], memory=0)
    lbfgs, _ = run(quadratic([1.0, 300.0, 40.0], [1, 1, 1]), [0, 0, 0], memory=6)
    assert lbfgs.iterations * 5 < plain.iterations


@BOTH
@pytest.mark.parametrize("case", ["quadratic", "rosenbrock"])
def test_every_accepted_step_satisfies_armijo(memory, case):
    objective = rosenbrock() if case == "rosenbrock" else quadratic([1.0, 50.0], [1, 2])
    accepted, directions = [np.array([-1.2, 1.0])], []
    move = objective.move

    def recording(state, direction, step, largest):
        moved = move(state, direction, step, largest)
        directions.append((state, direction, moved.step.result()))
        return moved

    objective.move = recording
    steps = []

    def observe(step):
        if step.iteration:
            state, direction, length = directions[-1]
            gradient = objective.slope(state)
            assert length == step.step
            bound = objective.value(state) + ARMIJO * length * float(gradient @ direction)
            assert float(gradient @ direction) < 0
            assert step.energy <= bound
            accepted.append(state + length * direction)
        steps.append(step)

    options = Options(memory=memory, gradient_tolerance=1e-9, energy_tolerance=0, largest_step=1e9)
    ended = minimise(objective, accepted[0], options, 80, observe=observe)
    energies = [s.energy for s in steps]
    assert (np.diff(energies) <= 0).all()
    assert [s.iteration for s in steps] == list(range(len(steps)))
    assert ended.iterations == len(steps) - 1 >= 3
    np.testing.assert_array_equal(ended.state, accepted[-1])
    assert ended.evaluations <= len(objective.energies)


def test_no_point_moves_further_than_the_largest_step():
    objective = quadratic([1.0, 1.0], [100.0, 50.0])
    moves = []
    move = objective.move

    def recording(state, direction, step, largest):
        moved = move(state, direction, step, largest)
        moves.append(np.abs(moved.change).max())
        return moved

    objective.move = recording
    ended, _ = run(objective, [0, 0], largest_step=2.0)
    assert max(moves) <= 2.0 * (1 + 1e-12)
    assert ended.iterations >= 50
    np.testing.assert_allclose(ended.state, [100, 50], atol=1e-6)


@BOTH
def test_stop_budget(memory):
    ended, steps = run(rosenbrock(), [-1.2, 1.0], memory=memory, iterations=3)
    assert ended.stop is Stop.BUDGET
    assert ended.iterations == 3 == len(steps) - 1
    ended, steps = run(rosenbrock(), [-1.2, 1.0], memory=memory, iterations=0)
    assert ended.stop is Stop.BUDGET
    np.testing.assert_array_equal(ended.state, [-1.2, 1.0])


@BOTH
def test_stop_gradient(memory):
    ended, steps = run(quadratic([1, 5], [3, 3]), [0, 0], memory=memory, gradient=1e-2)
    assert ended.stop is Stop.GRADIENT
    norms = [s.gradient_norm for s in steps]
    assert norms[-1] <= 1e-2 * norms[0] < norms[-2]
    assert ended.gradient_reduction == norms[-1] / norms[0]


def test_stop_stationary_only_at_the_start():
    ended, steps = run(quadratic([1, 5], [3, 3]), [3, 3])
    assert ended.stop is Stop.STATIONARY
    assert len(steps) == 1
    # one step hits the minimiser exactly: that is a gradient below its tolerance, not a start
    ended, steps = run(quadratic([1, 1], [3, 3]), [0, 0])
    assert steps[-1].gradient_norm == 0
    assert ended.stop is Stop.GRADIENT


@BOTH
def test_stop_stagnation(memory):
    ended, steps = run(rosenbrock(), [-1.2, 1.0], memory=memory, iterations=60_000, energy=0.02)
    energies = [s.energy for s in steps]
    assert ended.stop is Stop.STAGNATION
    assert energies[-6] - energies[-1] <= 0.02 * (energies[0] - energies[-1])
    before = energies[:-1]
    assert before[-6] - before[-1] > 0.02 * (before[0] - before[-1])


@BOTH
def test_stop_line_search(memory):
    """A gradient that lies: every step along its descent direction rises."""
    objective = Analytic(lambda x: float(np.abs(x).sum()), lambda x: np.ones_like(x))
    ended, steps = run(objective, [0.0, 0.0], memory=memory)
    assert ended.stop is Stop.LINE_SEARCH
    assert len(steps) == 1
    np.testing.assert_array_equal(ended.state, [0, 0])
    assert len(objective.energies) == 1 + MOST_BACKTRACKS


def test_the_memory_is_dropped_before_the_search_is_given_up():
    """All but steepest descent folds: what the memory adds to the direction is not feasible."""
    objective = quadratic([1.0, 30.0], [1, 1])
    slope, here = objective.slope, [np.zeros(2)]

    def remembering(x):
        here[0] = x
        return slope(x)

    def folds(x):
        step, steepest = x - here[0], slope(here[0])
        return abs(step[0] * steepest[1] - step[1] * steepest[0]) > 1e-6 * np.square(step).sum()

    objective.slope, objective.folds = remembering, folds
    ended, _ = run(objective, [0, 0], gradient=1e-4)
    assert ended.stop is Stop.GRADIENT
    np.testing.assert_allclose(ended.state, [1, 1], atol=1e-2)


@pytest.mark.parametrize("energy", [np.nan, np.inf, -np.inf])
def test_a_bad_energy_at_the_start_names_the_place(energy):
    objective = Analytic(lambda x: energy, lambda x: x)
    with pytest.raises(DivergenceError, match=r"affine stage, level 3.*iteration 0") as caught:
        run(objective, np.ones(2), stage="affine", level=3)
    assert isinstance(caught.value, VarregError)


@BOTH
@pytest.mark.parametrize("energy", [np.nan, -np.inf])
def test_a_bad_energy_on_the_way_names_the_place(memory, energy):
    objective = quadratic([1.0, 1.0], [10.0, 0.0])
    good = objective.value
    objective.value = lambda x: energy if x[0] > 2.5 else good(x)
    with pytest.raises(DivergenceError, match="deformable stage, level 1.*iteration 3"):
        run(objective, [0, 0], memory=memory, largest_step=1.0, stage="deformable", level=1)


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("at", [0, 2])
def test_a_bad_gradient_names_the_place(memory, bad, at):
    objective = quadratic([1.0, 1.0], [10.0, 0.0])
    good = objective.slope

    def slope(x):
        return np.array([bad, 0.0]) if objective.gradients == at + 1 else good(x)

    objective.slope = slope
    with pytest.raises(DivergenceError, match=f"level 7, iteration {at}"):
        run(objective, [0, 0], memory=memory, largest_step=1.0, level=7)


@BOTH
def test_folding_is_never_accepted_and_the_rest_goes_on(memory):
    """The first coordinate may not pass 1; the second is free and still reaches its minimum."""
    objective = quadratic(
        [1.0, 1.0, 1.0], [5.0, 4.0, -3.0], folds=lambda x: x[0] > 1, kept=np.array([0.0, 1.0, 1.0])
    )
    ended, steps = run(objective, [0, 0, 0], memory=memory, iterations=200)
    assert objective.evaded > 0
    assert ended.state[0] <= 1
    np.testing.assert_allclose(ended.state[1:], [4.0, -3.0], atol=1e-3)
    assert all(s.smallest_determinant > 0 for s in steps)
    assert (np.diff([s.energy for s in steps]) <= 0).all()
    assert any(map(np.isinf, objective.energies))


@BOTH
def test_without_a_direction_off_the_fold_the_step_is_shortened(memory):
    objective = quadratic([1.0, 1.0], [5.0, 4.0], folds=lambda x: x[0] > 1e-4)
    ended, _ = run(objective, [0, 0], memory=memory, iterations=20)
    assert objective.evaded > 0
    assert 0 < ended.state[0] <= 1e-4


def test_a_direction_off_the_fold_that_climbs_is_not_followed():
    objective = quadratic(
        [1.0, 1.0], [5.0, 4.0], folds=lambda x: x[0] > 1e-3, kept=np.array([-1.0, 0.0])
    )
    ended, steps = run(objective, [0, 0], iterations=10)
    assert (np.diff([s.energy for s in steps]) <= 0).all()
    assert 0 < ended.state[0] <= 1e-3


def test_the_right_preconditioner_needs_no_memory_of_steps():
    """Newton's method on a quadratic of condition 10^6: one step."""
    stiffness = np.array([1.0, 1e3, 1e6])
    steps = {}
    for inverse in (1.0, 1 / stiffness):
        objective = quadratic(stiffness, [1.0, -2.0, 3.0])
        objective.inverse_hessian = inverse
        ended, _ = run(objective, [0, 0, 0], memory=6, iterations=50)
        steps[np.ndim(inverse)] = ended.iterations
    np.testing.assert_allclose(ended.state, [1.0, -2.0, 3.0], atol=1e-9)
    assert steps[1] == 1 < steps[0]


def followed(lbfgs, gradients, steps):
    """L-BFGS after a start and some steps, each with the gradient where it has led."""
    lbfgs.update(lbfgs.ask(gradients[0]).result())
    for gradient, step in zip(gradients[1:], steps, strict=True):
        lbfgs.update(lbfgs.ask(gradient, step).result())
    return lbfgs


@pytest.mark.parametrize("scales", [np.ones(5), np.array([0.5, 3.0, 1.0, 0.1, 20.0])])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 6, 15])
def test_the_direction_is_that_of_bfgs(scales, count):
    """The recursion by inner products against the explicit BFGS update of the inverse Hessian."""
    rng, memory = np.random.default_rng(0), 4
    hessian = rng.normal(size=(5, 5))
    hessian = hessian @ hessian.T + np.eye(5)
    steps = rng.normal(size=(count, 5))
    states = np.cumsum([rng.normal(size=5), *steps], axis=0)
    gradients = states @ hessian
    lbfgs = followed(LBFGS(memory, lambda gradient: scales * gradient), gradients, steps)
    inverse = np.diag(scales)
    if count:
        step, change = steps[-1], hessian @ steps[-1]
        inverse = inverse * (step @ change) / (change @ (scales * change))
    for step in steps[-memory:]:
        change = hessian @ step
        rho = 1 / (step @ change)
        left = np.eye(5) - rho * np.outer(step, change)
        inverse = left @ inverse @ left.T + rho * np.outer(step, step)
    direction, slope = lbfgs.direction()
    np.testing.assert_allclose(direction, -inverse @ gradients[-1], rtol=1e-9)
    assert slope == pytest.approx(float(direction @ gradients[-1]), rel=1e-10)


def test_pairs_without_curvature_are_left_out():
    gradients = np.array([[1.0, 0.0], [0.0, 0.5], [0.0, 1.5], [1.0, 2.0]])
    steps = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    lbfgs = followed(LBFGS(3), gradients, steps)
    np.testing.assert_array_equal(lbfgs.direction()[0], -gradients[-1])
    assert not lbfgs.reset()
    lbfgs.update(lbfgs.ask(np.array([3.0, 2.0]), np.array([1.0, 0.0])).result())
    assert lbfgs.reset()
    assert not lbfgs.reset()
    np.testing.assert_array_equal(lbfgs.direction()[0], [-3.0, -2.0])


def test_what_is_left_out_does_not_spoil_what_is_kept():
    """A pair without curvature between two with: the direction is that of the two."""
    hessian, rng = np.diag([1.0, 2.0, 5.0]), np.random.default_rng(3)
    steps = rng.normal(size=(3, 3))
    changes = steps @ hessian
    changes[1] *= -1
    gradients = np.cumsum([rng.normal(size=3), *changes], axis=0)
    lbfgs = followed(LBFGS(3), gradients, steps)
    inverse = np.eye(3) * (steps[2] @ changes[2]) / (changes[2] @ changes[2])
    for i in (0, 2):
        rho = 1 / (steps[i] @ changes[i])
        left = np.eye(3) - rho * np.outer(steps[i], changes[i])
        inverse = left @ inverse @ left.T + rho * np.outer(steps[i], steps[i])
    np.testing.assert_allclose(lbfgs.direction()[0], -inverse @ gradients[-1], rtol=1e-9)


def test_memory_zero_keeps_nothing_and_follows_the_gradient():
    gradients = np.array([[1.0, 0.0], [1.0, 2.0]])
    lbfgs = followed(LBFGS(0, lambda gradient: 3 * gradient), gradients, np.array([[2.0, 0.0]]))
    direction, slope = lbfgs.direction()
    np.testing.assert_array_equal(direction, [-1.0, -2.0])
    assert slope == -5
    assert not lbfgs.reset()
