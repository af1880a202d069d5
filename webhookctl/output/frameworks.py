"""Where each web framework has the raw body, and what usually spoils it: what a refused signature needs most often.

Constants only.
"""

from typing import NamedTuple


class Framework(NamedTuple):
    """A framework: how the raw body is got there, and the usual mistake."""

    name: str
    raw_body: str
    mistake: str


FRAMEWORKS = (
    Framework(
        "Express",
        "app.post(path, express.raw({ type: '*/*' }), …) and req.body",
        "express.json() before the route: req.body is an object",
    ),
    Framework(
        "Flask",
        "request.get_data()",
        "request.form read first: the body is gone; or json.dumps(request.json)",
    ),
    Framework(
        "Django", "request.body", "request.POST or DRF's request.data read first; no @csrf_exempt: 403"
    ),
    Framework(
        "FastAPI", "await request.body()", "a model or dict as parameter, written again with json.dumps"
    ),
    Framework("Rails", "request.raw_post", "params.to_json: other escapes, other order, more keys"),
    Framework("Spring", "@RequestBody byte[] body", "a mapped object or a String in the platform's charset"),
    Framework("Go net/http", "io.ReadAll(r.Body)", "json.Decode and json.Marshal: sorted keys, tags escaped"),
)
