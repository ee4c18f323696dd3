"""How templates become HTML: as Jinja does it, byte for byte, with less work for each value.

A page holds thousands of values and a thousand calls of macros, and what Jinja does around each of them took longer
than all queries of the page. Three things are left out, since nothing of ours needs them. A value that is written was
marked as safe for whoever goes on with it, but it is only joined to the others. A call looked for functions that want
to know who calls them. And each piece went singly through the generators of all templates that a page extends.

What is escaped, and how, stays as it was: every text that isn't `Markup` is, by MarkupSafe. A test renders all pages
with Jinja's own environment and compares.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import markupsafe
from jinja2 import Environment, FileSystemLoader, nodes, select_autoescape
from jinja2.compiler import CodeGenerator, Frame, MacroRef
from jinja2.runtime import Context, Macro
from jinja2.utils import missing
from markupsafe import Markup, escape

marked: Callable[[str], Markup] = partial(str.__new__, Markup)
"""Text of our own making as `Markup`, without its looking for an `__html__` in it: a third of the time."""

escape_text: Callable[[str], str] = getattr(markupsafe, "_escape_inner", escape)
"""Of a text, in C. It has no public name, so it may be gone one day: then we wait for the longer way again."""


def written(value: object) -> str:
    """A value as a page says it: escaped, unless it is HTML."""
    if type(value) is str:
        return escape_text(value)
    if type(value) is int:
        return str(value)
    return value if isinstance(value, Markup) else escape(value)


class QuickMacro(Macro):
    """A macro that is called with fewer questions."""

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        """Its HTML. A parameter that is not given is `missing`, for which it puts its default itself."""
        count = self._argument_count
        if len(args) > count or self.catch_kwargs or self.catch_varargs or self.explicit_caller:
            return super().__call__(*args, **kwargs)
        if kwargs:
            given = (*args, *[kwargs.pop(name, missing) for name in self.arguments[len(args) :]])
        else:
            given = args + (missing,) * (count - len(args))
        if self.caller:
            given = (*given, kwargs.pop("caller", None) or self._environment.undefined(name="caller"))
        if kwargs:
            raise TypeError(f"macro {self.name!r} takes no keyword argument {next(iter(kwargs))!r}")
        return marked(self._func(*given))


class QuickContext(Context):
    """The values of a page, by which templates call."""

    def call(self, called: Any, /, *args: Any, _loop_vars: Any = None, _block_vars: Any = None, **kwargs: Any) -> Any:
        """What a function or a macro answers; none of ours wants the context, or Jinja's own way is taken."""
        if type(called) is QuickMacro or not hasattr(called, "jinja_pass_arg"):
            return called(*args, **kwargs)
        return super().call(called, *args, _loop_vars=_loop_vars, _block_vars=_block_vars, **kwargs)


class Writer(CodeGenerator):
    """Makes Python of templates."""

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.autoescape and not frame.eval_ctx.volatile and finalize.src is None:
            self.write("environment.written(")
        else:
            super()._output_child_pre(node, frame, finalize)

    def macro_def(self, macro_ref: MacroRef, frame: Frame) -> None:
        """A macro, of our class."""
        self.write("environment.")
        super().macro_def(macro_ref, frame)

    def blockvisit(self, nodes: Iterable[nodes.Node], frame: Frame) -> None:
        """What is in a block of a page: gathered as in a macro, and said in one piece."""
        is_whole = frame.block_frame and frame.buffer is None
        if is_whole:
            self.buffer(frame)
        super().blockvisit(nodes, frame)
        if is_whole:
            self.writeline(f"yield concat({frame.buffer})")


class Templates(Environment):
    """The templates of a folder. They change with the program alone: nobody looks at the files again for every page."""

    code_generator_class = Writer
    context_class = QuickContext
    Macro = QuickMacro
    written = staticmethod(written)

    def __init__(self, folder: Path) -> None:
        super().__init__(
            loader=FileSystemLoader(folder), autoescape=select_autoescape(), trim_blocks=True, auto_reload=False
        )
