"""The generators run real libraries and only by hand: pytest must not import them."""

collect_ignore_glob = ["generate/*"]
