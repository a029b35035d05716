// Package help holds the help for people who use the console: Markdown that can be read here as it is, and that the
// console shows. README.md lists the tasks, in their order; a folder named after a language holds what is translated.
package help

import "embed"

// Files are the texts and their pictures.
//
//go:embed *.md de/*.md pictures/*.png
var Files embed.FS
