package browsertest

import _ "embed"

// layoutJS is a function of JavaScript that says what is broken in the layout of the document as it stands.
//
//go:embed layout.js
var layoutJS string
