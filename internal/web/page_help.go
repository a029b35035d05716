package web

import (
	"fmt"
	"io/fs"
	"path"
	"sync"

	helptexts "github.com/safepoint-db/safepoint/docs/help"
	"github.com/safepoint-db/safepoint/internal/help"
	"github.com/safepoint-db/safepoint/internal/language"
)

// helpTitles are the titles of the help's pages, by task, for where they are named: a page itself may be in English still.
var helpTitles = map[string]string{
	help.Index:      language.Mark("Help"),
	"start":         language.Mark("Get started"),
	"schedule":      language.Mark("Configure a schedule"),
	"manual-backup": language.Mark("Make a manual backup"),
	"view":          language.Mark("View backups and restores"),
	"health":        language.Mark("Health"),
	"edit":          language.Mark("Edit a schedule"),
	"disable":       language.Mark("Disable or enable a schedule"),
	"restore":       language.Mark("Restore a database"),
	"undo":          language.Mark("Undo a restore"),
	"download":      language.Mark("Download a backup"),
	"upload":        language.Mark("Upload a backup"),
	"delete":        language.Mark("Delete a backup"),
	"services":      language.Mark("Services"),
	"members":       language.Mark("Members"),
	"passkeys":      language.Mark("Sign in with a passkey"),
}

type helpView struct {
	help.Page
	Named string     // the title in the reader's language
	Index bool       // of the tasks
	Tasks []helpTask // without the index
}

type helpTask struct{ Task, Title string }

func showHelp(v *visit) (reply, error) { return v.help(help.Index) }

func showHelpTask(v *visit) (reply, error) { return v.help(v.r.PathValue("task")) }

func (v *visit) help(task string) (reply, error) {
	b, err := helpIn(v.t.Language)
	if err != nil {
		return nil, err
	}
	p, ok := b.Find(task)
	if !ok {
		return notFound(v)
	}
	d := helpView{Page: p, Named: v.t.Say(helpTitles[task]), Index: task == help.Index}
	for _, other := range b.Pages[1:] {
		d.Tasks = append(d.Tasks, helpTask{other.Task, v.t.Say(helpTitles[other.Task])})
	}
	return &page{Name: "help", Title: d.Named, Tab: "help", Data: d}, nil
}

// books are the help by the tag of its language, read when it is first asked for.
var books sync.Map

func helpIn(l *language.Language) (help.Book, error) {
	read, _ := books.LoadOrStore(l.Tag, sync.OnceValues(func() (help.Book, error) {
		a, err := embedded()
		if err != nil {
			return help.Book{}, fmt.Errorf("load assets: %w", err)
		}
		return help.Load(helptexts.Files, l.Tag, func(name string) string { return a.url("help-" + name) })
	}))
	return read.(func() (help.Book, error))()
}

// addHelpPictures serves the help's pictures beside the other files, as "help-NAME.png".
func (a assets) addHelpPictures() error {
	files, err := fs.Glob(helptexts.Files, "pictures/*.png")
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := fs.ReadFile(helptexts.Files, f)
		if err != nil {
			return err
		}
		a.add("help-"+path.Base(f), b)
	}
	return nil
}
