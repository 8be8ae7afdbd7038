"""Ring 6: the real command line on real machines."""

import pytest

pytest.register_assert_rewrite("tests.live.walking", "tests.live.outside")
