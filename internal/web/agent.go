package web

import "strings"

// A browser says that it is several others, and itself first among these.
var (
	browsers = [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Vivaldi/", "Vivaldi"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}}
	systems  = [][2]string{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}}
)

// browser names what a browser's User-Agent says: "Firefox on Linux".
func (c locale) browser(agent string) string {
	find := func(list [][2]string) string {
		for _, e := range list {
			if strings.Contains(agent, e[0]) {
				return e[1]
			}
		}
		return ""
	}
	name, system := find(browsers), find(systems)
	switch {
	case name != "" && system != "":
		return c.Say("{browser} on {system}", "browser", name, "system", system)
	case name+system != "":
		return name + system
	case agent == "":
		return c.Say("A program that does not say what it is")
	}
	if r := []rune(agent); len(r) > 40 {
		agent = string(r[:40]) + "…"
	}
	return agent
}
