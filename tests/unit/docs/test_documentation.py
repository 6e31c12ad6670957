"""How pages are read and compared, before any of their commands is run."""

import pytest

from tests.conftest import ROOT
from tests.documentation import Block, blocks, marked_pages, missing_line, run_page

PAGE = """# Page

<!-- file: a/b.txt -->
```text
hello
```

<!-- run -->

```sh
cat a/b.txt
```

<!-- prints -->
```text
hel…
```

```sh
never run
```

<!-- slow -->
```sh
false
```
"""


def test_marked_blocks_are_read_in_order_and_others_are_not():
    assert blocks(PAGE) == [
        Block("file", "a/b.txt", "hello\n", 3),
        Block("run", "", "cat a/b.txt\n", 8),
        Block("prints", "", "hel…\n", 14),
        Block("slow", "", "false\n", 23),
    ]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- run -->\nText.\n\n```sh\nls\n```\n", "1 marks, but 0 marked blocks"),
        ("<!-- file -->\n```text\nx\n```\n", r"lines \[1\]: name the file"),
    ],
)
def test_a_mark_that_means_nothing_is_refused(page, message):
    with pytest.raises(ValueError, match=message):
        blocks(page)


def test_a_page_is_done_in_a_folder_up_to_its_slow_blocks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    run_page(page, tmp_path, slow=False)
    assert (tmp_path / "a/b.txt").read_text() == "hello\n"
    with pytest.raises(AssertionError, match=r"page\.md:23: status 1"):
        run_page(page, tmp_path, slow=True)


def test_what_is_not_printed_is_named_with_its_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("hel…", "bye"))
    with pytest.raises(AssertionError, match=r"page\.md:14: not printed: bye"):
        run_page(page, tmp_path, slow=False)


def test_yaml_is_merged_into_a_file_of_the_configuration(tmp_path):
    page = tmp_path / "page.md"
    (tmp_path / "conf.yml").write_text("a: {b: 1, c: 2}\n")
    page.write_text("<!-- merge: conf.yml -->\n```yaml\na: {b: 3}\n```\n<!-- run -->\n```sh\ncat conf.yml\n```\n")
    run_page(page, tmp_path, slow=False)
    assert (tmp_path / "conf.yml").read_text() == "a:\n  b: 3\n  c: 2\n"


@pytest.mark.parametrize(
    ("expected", "missing"),
    [("one\nthree", None), ("t…e", None), ("three\none", "one"), ("one\none", "one"), ("tw", "tw"), ("", None)],
)
def test_lines_are_expected_in_their_order(expected, missing):
    assert missing_line(expected, "one\n  two\nthree\n") == missing


def test_every_page_of_the_docs_can_be_read():
    pages = list(marked_pages())
    assert len(pages) >= 5
    for page in pages:
        assert blocks(page.read_text()), page.relative_to(ROOT)
