"""Which container images a module version needs: what is declared is read, the rest is said to be unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ContentError, UsageError
from bundler.timoni.image_fields import image_reference, images_below, images_in_fields, likely_text, read_cue
from bundler.timoni.module_images import ANNOTATION, ModuleImages, Templates, images_of
from tests.timoni.test_cue import CUE_LIKE

SHA = "sha256:" + "a" * 64
EXAMPLES = Path(__file__).parents[2] / "examples" / "modules"
DEPLOYMENT = "package templates\n#Deployment: spec: containers: [{\n\timage: #config.image.reference\n}]\n"
CONFIG = "package templates\n\n#Config: image!: timoniv1.#Image\n"


def images(**files: str) -> ModuleImages:
    """What a module of these files needs; `templates_x` stands for `templates/x.cue`."""
    paths = {f"{name.replace('_', '/')}.cue": text.encode() for name, text in files.items()}
    return images_of({}, paths)


def unknown(found: ModuleImages) -> list[str]:
    return [f"{one.place} {one.what}: {one.reason}" for one in found.unknown]


# --- the order of trust ------------------------------------------------------------------------------

VALUES = 'package main\nvalues: image: {\n\trepository: "docker.io/nginx"\n\ttag: "1.25"\n\tdigest: ""\n}\n'


def test_the_annotation_says_it_all() -> None:
    text = f"docker.io/redis:8@{SHA},ghcr.io/org/app@{SHA}, docker.io/redis:8@{SHA},"
    found = images_of({ANNOTATION: text}, {"values.cue": VALUES.encode()})
    assert found == ((f"docker.io/redis:8@{SHA}", f"ghcr.io/org/app@{SHA}"), "annotation", ())


def test_a_name_in_the_annotation_that_is_none_is_unknown() -> None:
    found = images_of({ANNOTATION: "docker.io/a:1,not a name"}, {})
    assert found.references == ("docker.io/a:1",)
    assert unknown(found)[0].startswith("annotation sh.timoni.images not a name: no image:")


def test_an_empty_annotation_says_that_there_are_none() -> None:
    assert images_of({ANNOTATION: ""}, {"templates/d.cue": DEPLOYMENT.encode()}) == ((), "annotation", ())


def test_images_cue_goes_before_values_cue() -> None:
    declared = (
        "package main\n\n// tracked\nvalues: {\n"
        f'\timage: {{\n\t\trepository: *"docker.io/redis" | string\n\t\ttag: *"8" | string\n'
        f'\t\tdigest: *"{SHA}" | string\n\t}}\n'
        '\ttest: image: {repository: *"ghcr.io/org/curl" | string, tag: string | *"8.1"}\n'
        "\treplicas: 2\n}\n"
    )
    found = images(images=declared, values=VALUES, templates_d=DEPLOYMENT)
    assert found == ((f"docker.io/redis:8@{SHA}", "ghcr.io/org/curl:8.1"), "images.cue", ())


def test_values_cue_is_read_where_there_is_no_images_cue() -> None:
    assert images(values="@if(!debug)\n\n" + VALUES, templates_d=DEPLOYMENT) == (
        ("docker.io/nginx:1.25",), "values.cue", (),
    )  # fmt: skip


def test_an_images_cue_without_images_defers_to_values_cue() -> None:
    assert images(images="package main\nvalues: {}\n", values=VALUES).source == "values.cue"


# --- spellings ---------------------------------------------------------------------------------------

SPELLINGS = [
    ('image: {repository: "r.io/a", tag: "1"}', "r.io/a:1"),
    (f'image: {{repository: "r.io/a", digest: "{SHA}"}}', f"r.io/a@{SHA}"),
    (f'image: {{repository: "r.io/a", tag: "", digest: "{SHA}"}}', f"r.io/a@{SHA}"),
    ('image: {repository: "r.io/a", tag: "", digest: ""}', "r.io/a"),
    ('image: repository: "r.io/a", image: tag: "1"', "r.io/a:1"),
    ('image: {repository: "r.io/a"} & {tag: "1"}', "r.io/a:1"),
    ('controllers: source: image: {repository: "r.io/a", tag: "1", pullPolicy: "Always"}', "r.io/a:1"),
    ('sidecars: [{image: {repository: "r.io/a", tag: "1"}}]', "r.io/a:1"),
    ('anything: {repository: "r.io/a", tag: "1"}', "r.io/a:1"),
    ('image: {repository: "nginx", tag: _tag}, _tag: "1"', "nginx:1"),
    ('image: "r.io/a:1"', "r.io/a:1"),
]


@pytest.mark.parametrize(("text", "reference"), SPELLINGS)
def test_every_spelling_of_an_image_is_read(text: str, reference: str) -> None:
    assert images(values=f"package main\nvalues: {{{text}}}\n") == ((reference,), "values.cue", ())


@pytest.mark.parametrize(
    "text",
    [
        'repository: url: "https://charts.example", chart: version: "1"',
        'artifact: {url: "oci://r.io/a", tag: "latest"}',
        'imagePullSecrets: [{name: "x"}]',
        "replicas: 1, host: string, ports: [80]",
        'message: *"hi" | string',
    ],
)
def test_what_is_no_image_is_not_taken_for_one(text: str) -> None:
    assert images(values=f"package main\nvalues: {{{text}}}\n") == ((), "none", ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('image: {repository: string, tag: "1"}', "values.image: repository: it has no value here"),
        ('image: {repository: "r.io/a", tag: 1}', "values.image: tag: it is a number"),
        ('image: {repository: "r.io/a", tag: "1 beta"}', "values.image: no image: '1 beta' is not a tag"),
        ('image: {repository: "r.io/a,r.io/b", tag: "1"}', "values.image: no image:"),
        ('image: repository: "r.io/a"', "values.image: it gives only repository"),
        ('initImage: {tag: "1", digest: ""}', "values.initImage: it gives only tag and digest"),
        ('image: "logo"', "values.image: it may be an image: 'logo'"),
        ("sub: #Images & {a: 1}", "values.sub: images may come from a reference to #Images"),
        (
            'if x {image: {repository: "r.io/a", tag: "1"}}',
            "values: images may come from a part made by `if`",
        ),
        (
            'image: *{repository: "r.io/a"} | string',
            "values.image: images may come from one of several values",
        ),
        ("[string]: image: _", "values: images may come from a pattern for all fields"),
        ("a: {", "values: images may come from a bracket that nothing closes"),
    ],
)
def test_what_can_not_be_read_is_unknown(text: str, reason: str) -> None:
    found = images(images=f"package main\nvalues: {{{text}}}\n")
    assert (found.references, found.source) == ((), "images.cue")
    assert reason in unknown(found)[0]
    assert unknown(found)[0].startswith("images.cue:2 ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "many", ["image: x\n", "#A\n", "_a: _b & _b\n_b: _a\n", "[string]: {image: a}\n", "[{"]
)
def test_many_parts_of_one_kind_take_no_more_than_their_length(many: str) -> None:
    found = images(values=f"values: {{{many * 10_000}}}")
    assert found.unknown
    assert len(found.unknown) <= 101


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\xff", "not UTF-8"), (b"images: {}", "no field `values`"), (b"{" * 500_000, "tokens")],
)
def test_an_unusable_images_cue_is_unknown(data: bytes, reason: str) -> None:
    (found,) = images_of({}, {"images.cue": data}).unknown
    assert reason in found.reason


# --- templates ---------------------------------------------------------------------------------------


def test_a_module_whose_templates_use_no_image_runs_none() -> None:
    found = images(
        values="package main\nvalues: {}\n", templates_service="#Service: spec: ports: []\n// image: x"
    )
    assert found == ((), "none", ())


def test_a_template_that_computes_its_image_leaves_it_unknown() -> None:
    found = images(values="package main\nvalues: {}\n", templates_config=CONFIG, templates_deploy=DEPLOYMENT)
    assert (found.references, found.source) == ((), "none")
    assert unknown(found) == [
        "templates/config.cue:3 image: a template computes it",
        "templates/deploy.cue:3 image: a template computes it",
    ]


def test_a_default_in_a_template_is_named_but_not_taken() -> None:
    default = '{\n\t\trepository: *"r.io/a" | string\n\t\ttag: *"1" | string\n\t}'
    config = f"#Config: {{\n\timage: timoniv1.#Image & {default}\n}}\n"
    assert unknown(images(templates_config=config)) == [
        "templates/config.cue:2 #Config.image: a template has 'r.io/a:1': name it, if it is used"
    ]


def test_an_image_of_a_template_is_told_beside_values_cue() -> None:
    template = (
        '#Job: containers: [{image: "busybox:1.36"}, {image: "docker.io/nginx:1"}, {image: #config.image}]'
    )
    found = images(values=VALUES, templates_job=template)
    assert found.references == ("docker.io/nginx:1.25",)
    assert unknown(found) == [
        "templates/job.cue:1 image: a template has 'busybox:1.36': name it, if it is used"
    ]


def test_the_schema_of_a_custom_resource_is_no_image() -> None:
    crd = 'properties: {\n\timage: {description: "The image"}\n\t"image": {\n\t\ttype: "string"\n\t}\n}\n'
    assert images(templates_crds=crd) == ((), "none", ())


FRAGMENTS = (
    "image", '"image"', "myImage", "repository", '"repository"', "tag", "digest", ":", ": ", " : ", "?:",
    "{", "}", '"nginx:1.2"', '"x"', "string", "type", '"string"', "description", "// image: y", "\\u0072",
    '"\\u0072epository"', '"imag\\u0065"', '*"a/b:1" | string', "&", "[", "]", '#"image"#',
    '"""\nimage: x\n"""',
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(FRAGMENTS), st.sampled_from(["", " ", "\n"])), max_size=30))
def test_the_scan_of_a_template_misses_no_image(pieces: list[tuple[str, str]]) -> None:
    data = ('// repository\na: image: "x:1"\n' + "".join(map("".join, pieces))).encode()
    try:
        parsed = images_below(read_cue("t.cue", data), "", likely_text())
        expected = [image for image in parsed if image.reference]
    except ContentError:
        return
    assert list(images_in_fields("t.cue", data)) == expected


def test_a_template_of_many_versions_says_the_same_for_each() -> None:
    templates = Templates()
    for version in range(3):
        files = {"templates/config.cue": CONFIG.encode(), "values.cue": f"values: n: {version}".encode()}
        assert images_of({}, files, templates) == images_of({}, files)


def test_an_unusable_template_is_unknown() -> None:
    found = images_of({}, {"templates/x.cue": b"image: \xff"})
    assert unknown(found) == ["templates/x.cue image: not UTF-8 text"]


@given(st.sampled_from(["images.cue", "values.cue", "templates/a.cue"]), CUE_LIKE | st.text(max_size=60))
def test_any_file_is_read_or_unknown(name: str, text: str) -> None:
    for whole in (text, f'values: {{image: {{repository: "a", {text}}}, {text}}}', f"image: {text}"):
        found = images_of({}, {name: whole.encode("utf-8", "replace")})
        assert list(found.references) == sorted({str(one) for one in found.references})
        assert all(image_reference(one) for one in found.references)


@given(st.text(max_size=80))
def test_any_annotation_is_read_or_unknown(text: str) -> None:
    found = images_of({ANNOTATION: text}, {})
    assert len(found.references) + len(found.unknown) <= text.count(",") + 1


# --- the example modules -----------------------------------------------------------------------------


def example(path: str) -> ModuleImages:
    root = EXAMPLES / path
    return images_of({}, {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*.cue")})


def test_the_example_modules_show_three_ways_to_name_images() -> None:
    assert example("hello/base")[:2] == (
        ("docker.io/nginxinc/nginx-unprivileged:1.26.2-alpine",),
        "values.cue",
    )
    assert example("hello/changes/2.0.0")[:2] == (
        ("docker.io/nginxinc/nginx-unprivileged:1.28.0-alpine",), "images.cue",
    )  # fmt: skip
    defaults = example("cron-task/changes/2.0.0")
    assert (defaults.references, defaults.source) == ((), "none")
    assert "a template has 'docker.io/curlimages/curl:" in unknown(defaults)[0]


# --- names -------------------------------------------------------------------------------------------

NAMES = [
    ("nginx", "docker.io/library/nginx", "latest", None),
    ("redis:7", "docker.io/library/redis", "7", None),
    ("org/app", "docker.io/org/app", "latest", None),
    ("docker.io/redis:8", "docker.io/library/redis", "8", None),
    ("index.docker.io/org/app:1", "docker.io/org/app", "1", None),
    ("ghcr.io/org/app", "ghcr.io/org/app", "latest", None),
    ("localhost/app:1", "localhost/app", "1", None),
    ("host:5000/app", "host:5000/app", "latest", None),
    ("host:5000/app:1", "host:5000/app", "1", None),
    ("[::1]:5000/app:1", "[::1]:5000/app", "1", None),
    (f"app@{SHA}", "docker.io/library/app", None, SHA),
    (f"r.io/a:1@{SHA}", "r.io/a", "1", SHA),
]


@pytest.mark.parametrize(("text", "repository", "tag", "digest"), NAMES)
def test_a_short_name_means_what_docker_means(
    text: str, repository: str, tag: str | None, digest: str | None
) -> None:
    assert image_reference(text) == (repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "Nginx",
        "r.io/App",
        "a:",
        "a@",
        "a@sha256:0",
        "https://r.io/a",
        "a:b:c",
        "r.io/",
        "/a",
        "a\n",
    ],
)
def test_what_is_no_image_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        image_reference(text)
