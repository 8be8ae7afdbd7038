"""Virtual time, and a baton: of all threads exactly one runs, in an order that follows from the seed."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable

Event = Callable[[], "Actor | None"]
"""Something that happens at its time; it may say whose turn it is now."""


MOST_EVENTS = 400_000
"""A seed has some ten thousand."""


class Killed(BaseException):
    """The process was killed: no code of its own runs any more, and what still unwinds has no effect."""


class Actor:
    """Somebody with a thread of control: a process of a controller, the operator, the storyteller."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.killed = False
        self.paused_until = 0.0
        self.done = False
        self.turn = 0
        self.go = threading.Semaphore(0)
        self.thread: threading.Thread | None = None


class Kernel:
    """The queue of what will happen. Whoever waits runs it until it is somebody's turn."""

    def __init__(self) -> None:
        self.now = 0.0
        self.failure: BaseException | None = None
        self.over = False
        self.main = Actor("main")
        self._queue: list[tuple[float, int, Event]] = []
        self._count = 0
        self._actors: list[Actor] = []

    def after(self, seconds: float, event: Event) -> None:
        """Has ``event`` happen in ``seconds``; what is due at one instant happens in the order asked for."""
        self._count += 1
        heapq.heappush(self._queue, (self.now + max(0.0, seconds), self._count, event))

    def spawn(self, actor: Actor, body: Callable[[], None]) -> None:
        """Begins an actor's life; its first turn comes now."""

        def live() -> None:
            actor.go.acquire()
            try:
                if not actor.killed:
                    body()
            except Killed:
                pass
            except BaseException as error:
                self.failure = self.failure or error
            actor.done = True
            self._hand_on()

        actor.thread = threading.Thread(target=live, daemon=True)
        self._actors.append(actor)
        actor.thread.start()
        self.wake(actor, 0.0)

    def wake(self, actor: Actor, seconds: float) -> None:
        """Makes it the actor's turn in ``seconds``, unless it has had another turn by then."""
        turn = actor.turn

        def wake_up() -> Actor | None:
            if actor.turn != turn or actor.done:
                return None
            if actor.paused_until > self.now and not actor.killed:
                self.after(actor.paused_until - self.now, wake_up)
                return None
            actor.turn += 1
            return actor

        self.after(seconds, wake_up)

    def wait(self, me: Actor) -> None:
        """Lets the world go on until it is this actor's turn. Raises Killed when there is none any more."""
        turn = self._next()
        if turn is not me:
            turn.go.release()
            me.go.acquire()
        if me.killed:
            raise Killed

    def sleep(self, me: Actor, seconds: float) -> None:
        """Waits in virtual time."""
        self.wake(me, seconds)
        self.wait(me)

    def kill(self, actor: Actor) -> None:
        """``kill -9``: its next turn, which comes at once, is its last."""
        actor.killed = True
        self.wake(actor, 0.0)

    def finish(self) -> None:
        """Ends every thread; called by the storyteller when the story is over."""
        self.over = True
        for actor in self._actors:
            if not actor.done:
                actor.killed = True
                actor.go.release()
                self.main.go.acquire()
        for actor in self._actors:
            if actor.thread is not None:
                actor.thread.join()
        self._queue.clear()

    def _next(self) -> Actor:
        while not self.over:
            if self._count > MOST_EVENTS:
                self.failure = self.failure or RuntimeError(
                    f"more than {MOST_EVENTS} events: nothing comes to an end"
                )
            if self.failure is not None or not self._queue:
                return self.main
            self.now, _, event = heapq.heappop(self._queue)
            try:
                turn = event()
            except Exception as error:
                self.failure = self.failure or error
                turn = None
            if turn is not None:
                return turn
        return self.main

    def _hand_on(self) -> None:
        self._next().go.release()
