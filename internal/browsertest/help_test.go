package browsertest

import "strings"

// helpPages looks at every page of the help, each on a desk or on a phone, and waits for its pictures.
func (c *console) helpPages() {
	c.t.Helper()
	c.open("/help")
	var pages []string
	for _, link := range c.links() {
		if path, ok := strings.CutPrefix(link, c.origin); ok && strings.HasPrefix(path, "/help/") {
			pages = append(pages, path)
		}
	}
	if len(pages) < 10 {
		c.t.Errorf("the help leads to %q only", pages)
	}
	for i, path := range pages {
		if i%2 == 0 {
			c.SetViewport(390)
			c.ColorScheme("dark")
		} else {
			c.SetViewport(1280)
			c.ColorScheme("light")
		}
		c.open(path)
		c.Axe()
		c.NoSidewaysScroll()
		if err := c.run("document.querySelectorAll('.help img').forEach(i => { i.loading = 'eager'; i.scrollIntoView() })", nil); err != nil {
			c.t.Fatal(err)
		}
		c.Wait("the pictures of "+path, patience, func() bool {
			var missing int
			err := c.run("[...document.querySelectorAll('.help img')].filter(i => !i.complete || !i.naturalWidth).length", &missing)
			return err == nil && missing == 0
		})
	}
	c.SetViewport(1280)
	c.ColorScheme("light")
}
