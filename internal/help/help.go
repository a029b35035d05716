// Package help turns the texts of docs/help into the pages of the console's Help.
package help

import (
	"bytes"
	"fmt"
	"html/template"
	"image/png"
	"io/fs"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// Index is the task of the page that lists the others.
const Index = "README"

// Page is the help for one task in one language.
type Page struct {
	Task     string // its file without ".md", and its address: /help/TASK
	Language string // the language it is written in, a BCP 47 tag
	Title    string
	Body     template.HTML // the title included, as its only h1
}

// Book is the help in one language. What is not translated is in English.
type Book struct {
	Pages []Page // in the order of the index, which is first
}

// Find is the page of a task.
func (b Book) Find(task string) (Page, bool) {
	for _, p := range b.Pages {
		if p.Task == task {
			return p, true
		}
	}
	return Page{}, false
}

// Load reads the texts of files in the language of a tag. picture says where a picture, "NAME.png", is served.
// A link to a page or a picture that is not there is an error.
func Load(files fs.FS, tag string, picture func(name string) string) (Book, error) {
	order, err := tasks(files)
	if err != nil {
		return Book{}, err
	}
	l := loader{files: files, tag: tag, tasks: order, picture: picture}
	var b Book
	for _, task := range order {
		p, err := l.page(task)
		if err != nil {
			return Book{}, fmt.Errorf("help page %s: %w", task, err)
		}
		b.Pages = append(b.Pages, p)
	}
	return b, nil
}

// markdown is what the texts may use: CommonMark with tables, and no HTML of their own.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

// tasks are the index and the pages it links to.
func tasks(files fs.FS) ([]string, error) {
	source, err := fs.ReadFile(files, Index+".md")
	if err != nil {
		return nil, fmt.Errorf("read the help's index: %w", err)
	}
	found := []string{Index}
	err = ast.Walk(markdown.Parser().Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if link, ok := n.(*ast.Link); ok && entering {
			found = append(found, strings.TrimSuffix(string(link.Destination), ".md"))
		}
		return ast.WalkContinue, nil
	})
	return found, err
}

type loader struct {
	files   fs.FS
	tag     string
	tasks   []string
	picture func(name string) string
}

func (l loader) page(task string) (Page, error) {
	source, tag, err := l.read(task)
	if err != nil {
		return Page{}, err
	}
	root := markdown.Parser().Parse(text.NewReader(source))
	p := Page{Task: task, Language: tag}
	err = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 1 {
				p.Title += plain(n, source)
			}
		case *ast.Link:
			return ast.WalkContinue, l.link(n)
		case *ast.Image:
			return ast.WalkContinue, l.image(n, plain(n, source))
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return Page{}, err
	}
	if p.Title == "" {
		return Page{}, fmt.Errorf("it has no title")
	}
	var html bytes.Buffer
	if err := markdown.Renderer().Render(&html, source, root); err != nil {
		return Page{}, fmt.Errorf("render: %w", err)
	}
	p.Body = template.HTML(html.String())
	return p, nil
}

// read is the text of a task in the language, or in English.
func (l loader) read(task string) (source []byte, tag string, err error) {
	if source, err = fs.ReadFile(l.files, path.Join(l.tag, task+".md")); err == nil {
		return source, l.tag, nil
	}
	source, err = fs.ReadFile(l.files, task+".md")
	return source, "en", err
}

// link makes a link to another text one to another page.
func (l loader) link(n *ast.Link) error {
	file, part, _ := strings.Cut(string(n.Destination), "#")
	for _, task := range l.tasks {
		if strings.TrimPrefix(file, "../") == task+".md" {
			n.Destination = []byte(Address(task))
			if part != "" {
				n.Destination = append(n.Destination, "#"+part...)
			}
			return nil
		}
	}
	return fmt.Errorf("it links to %s, which is no page of the help", n.Destination)
}

// Address is where the console shows the page of a task.
func Address(task string) string {
	if task == Index {
		return "/help"
	}
	return "/help/" + task
}

// image makes a picture one that the console serves, with its size, so that nothing moves when it arrives.
func (l loader) image(n *ast.Image, alt string) error {
	file := strings.TrimPrefix(string(n.Destination), "../")
	f, err := l.files.Open(file)
	if err != nil {
		return fmt.Errorf("its picture %s: %w", file, err)
	}
	defer f.Close()
	size, err := png.DecodeConfig(f)
	if err != nil {
		return fmt.Errorf("its picture %s: %w", file, err)
	}
	if strings.TrimSpace(alt) == "" {
		return fmt.Errorf("its picture %s says nothing to who cannot see it", file)
	}
	n.Destination = []byte(l.picture(path.Base(file)))
	n.SetAttributeString("width", fmt.Append(nil, size.Width))
	n.SetAttributeString("height", fmt.Append(nil, size.Height))
	n.SetAttributeString("loading", []byte("lazy"))
	return nil
}

// plain is the text inside n.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}
