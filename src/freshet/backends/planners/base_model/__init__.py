"""The base checkpoint that a planner is tuned from: the user's own, so it is read and never written.

Whether it can be tuned is decided from its files, in the order of these modules, before anything costly is
done and without loading weights: `sources` where it is, `checkpoint_config` what it is, `weights` whether
they are all there, `tokenizers` whether its tokenizer goes with them and prompts fit. `loading` opens it,
and looks at the numbers.

Every refusal is a ConfigError that names the folder or file, what was expected and what to do; none says
to delete anything.
"""

from freshet.backends.planners.base_model.loading import check, load, prepared

__all__ = ["check", "load", "prepared"]
