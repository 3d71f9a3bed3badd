"""What Ondol changes in llama.cpp's server before it is compiled: drafts that a request may ask
for, and probabilities of the tokens that were accepted from a draft.

Unchanged, drafts are on or off for a whole process, and their tokens come without probabilities
(1.0, no alternatives), which would make every quoted answer look certain. Raises ``ValueError``
where the source is not the one these changes were made for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

CHANGES: tuple[tuple[str, str, str], ...] = (
    # Only this variable makes drafts possible: another build, which knows it not, makes none.
    (
        "server.cpp",
        """    if (!common_params_parse(argc, argv, params, LLAMA_EXAMPLE_SERVER)) {
        return 1;
    }
""",
        """    if (!common_params_parse(argc, argv, params, LLAMA_EXAMPLE_SERVER)) {
        return 1;
    }

    if (const char * ondol = std::getenv("ONDOL_ENGINE_DRAFTS")) {
        int size_n = 0, size_m = 0;
        params.speculative.types.clear();
        if (std::sscanf(ondol, "%d,%d", &size_n, &size_m) == 2) {
            params.speculative.types.push_back(COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE);
            params.speculative.ngram_simple.size_n = size_n;
            params.speculative.ngram_simple.size_m = size_m;
        }
        if (const char * model = std::getenv("ONDOL_ENGINE_DRAFT_MODEL")) {
            params.speculative.types.push_back(COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE);
            params.speculative.draft.mparams.path = model;
        }
    }
""",
    ),
    (
        "server-schema.cpp",
        """    params.speculative   = params_base.speculative;
""",
        """    params.speculative   = params_base.speculative;
    if (std::getenv("ONDOL_ENGINE_DRAFTS")) {
        params.speculative.types = { COMMON_SPECULATIVE_TYPE_NONE };
    }
""",
    ),
    (
        "server-schema.cpp",
        """    // TODO: to keep things simple, we disable speculative parameter adjustments for now
#if 0
""",
        """    add((new field_str("ondol_drafts"))
        ->set_desc("Whether this request may be answered with drafts: on or off")
        ->set_handler([&](field_eval_context & ctx, const json & data) {
            if (data.at("ondol_drafts").get<std::string>() == "on") {
                ctx.params.speculative.types = params_base.speculative.types;
            }
        }));

#if 0
""",
    ),
    (
        "server-context.cpp",
        """        if (!can_speculate()) {
            return 0;
        }

        // determine the max draft that fits the current slot state
""",
        """        if (!can_speculate()) {
            return 0;
        }

        const auto & kinds = task->params.speculative.types;
        if (kinds.empty() || kinds[0] == COMMON_SPECULATIVE_TYPE_NONE) {
            return 0;
        }

        // determine the max draft that fits the current slot state
""",
    ),
    (
        "server-context.cpp",
        """                slot.spec_i_batch.clear();

                GGML_ASSERT(accepted.size() >= 1);
""",
        """                spec_places = std::move(slot.spec_i_batch);
                slot.spec_i_batch.clear();

                GGML_ASSERT(accepted.size() >= 1);
""",
    ),
    (
        "server-context.cpp",
        """            const size_t n_draft = slot.spec_draft.size();

            GGML_ASSERT(n_draft > 0);
""",
        """            const size_t n_draft = slot.spec_draft.size();
            std::vector<int32_t> spec_places;

            GGML_ASSERT(n_draft > 0);
""",
    ),
    (
        "server-context.cpp",
        """                // TODO: set result.probs

                slot.stats.n_gen += 1;
""",
        """                const auto & wanted = slot.task->params;
                if (wanted.sampling.n_probs > 0 && !wanted.post_sampling_probs
                        && i < spec_places.size()) {
                    populate_token_probs(slot, result, false, params_base.special,
                        spec_places[i] - off);
                }

                slot.stats.n_gen += 1;
""",
    ),
)
"""The file, what stands in it once, and what takes its place."""

DIGEST = hashlib.sha256(repr(CHANGES).encode()).hexdigest()[:12]
"""Names these changes: an engine built with others is another one."""


def apply(source: Path) -> None:
    """Change the sources in ``source``, the folder that holds ``tools/server``."""
    folder = source / "tools" / "server"
    texts: dict[Path, str] = {}
    for name, before, after in CHANGES:
        file = folder / name
        text = texts.get(file) or file.read_text(encoding="utf-8")
        if text.count(before) != 1:
            raise ValueError(f"{name} is not the source that Ondol's changes were made for")
        texts[file] = text.replace(before, after)
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
