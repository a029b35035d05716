package passkey

import (
	"encoding/base64"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/passkey/passkeytest"
)

// desk is a site with one person, their device, and a clock that the test moves.
type desk struct {
	*Challenges
	t      *testing.T
	now    time.Duration
	site   Site
	ines   Owner
	device *passkeytest.Device
	key    Key
}

func newDesk(t *testing.T, device *passkeytest.Device) *desk {
	d := &desk{t: t, ines: Owner{"usr_ines", "ines@example.org", "Ines Marlow"}, device: device}
	d.Challenges = NewChallenges(func() time.Duration { return d.now })
	var err error
	d.site, err = SiteAt("https://backup.example/")
	d.ok(err)
	asked, err := d.AskNew(d.site, "browser", d.ines, nil)
	d.ok(err)
	answer, err := device.Create(asked, d.site.Origin)
	d.ok(err)
	d.key, err = d.New(d.site, "browser", d.ines, answer)
	d.ok(err)
	return d
}

func (d *desk) ok(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) refused(what string, err error) {
	d.t.Helper()
	if !errors.Is(err, ErrRefused) {
		d.t.Errorf("%s: %v", what, err)
	}
}

// answer asks for anybody's passkey and has the device answer it.
func (d *desk) answer() []byte {
	d.t.Helper()
	asked, err := d.Ask(d.site, "browser", Owner{}, nil)
	d.ok(err)
	answer, err := d.device.Get(asked, d.site.Origin)
	d.ok(err)
	return answer
}

func (d *desk) check(answer []byte) (Used, error) {
	a, err := Read(answer)
	if err != nil {
		return Used{}, err
	}
	return d.Check(d.site, "browser", Owner{}, a, d.ines, d.key)
}

func TestGoodAnswer(t *testing.T) {
	for name, device := range map[string]*passkeytest.Device{"counted": {}, "synced": {Uncounted: true}} {
		d := newDesk(t, device)
		if d.key.Synced != device.Uncounted || len(d.key.Transports) != 1 {
			t.Errorf("%s: %+v", name, d.key)
		}
		for range 2 {
			used, err := d.check(d.answer())
			d.ok(err)
			if used.Copied || !device.Uncounted && used.Count != device.Count {
				t.Errorf("%s: %+v", name, used)
			}
			d.key = used.Key
		}
		// Of a person who is known, only theirs is asked for.
		asked, err := d.Ask(d.site, "session", d.ines, []Key{d.key})
		d.ok(err)
		answer, err := device.Get(asked, d.site.Origin)
		d.ok(err)
		a, err := Read(answer)
		d.ok(err)
		_, err = d.Check(d.site, "session", d.ines, a, d.ines, d.key)
		d.ok(err)
		if _, err := device.Create(must(d.AskNew(d.site, "browser", d.ines, []Key{d.key}))(t), d.site.Origin); err == nil {
			t.Error("a device makes a second passkey for the same person")
		}
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestAnswerIsGoodOnce: of many who give one answer at once, one passes.
func TestAnswerIsGoodOnce(t *testing.T) {
	d := newDesk(t, &passkeytest.Device{})
	answer := d.answer()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = d.check(answer) })
	}
	wg.Wait()
	passed := 0
	for _, err := range errs {
		if err == nil {
			passed++
		} else {
			d.refused("again", err)
		}
	}
	if passed != 1 {
		t.Errorf("%d passed", passed)
	}
	if len(d.used) != 2 { // the new one's, and this
		t.Errorf("%d challenges are remembered", len(d.used))
	}
	d.now += Life + time.Second
	_, err := d.check(answer)
	d.refused("after its time", err)
	_, err = d.check(d.answer())
	d.ok(err)
	if len(d.used) != 1 {
		t.Errorf("%d challenges are remembered when the old ones are over", len(d.used))
	}
}

func TestBadAnswers(t *testing.T) {
	d := newDesk(t, &passkeytest.Device{})
	tomas := Owner{"usr_tomas", "tomas@example.org", "Tomas Reyl"}
	elsewhere := must(SiteAt("https://backup.example:8443"))(t)
	from := func(site Site, browser string, asked Owner) Answer {
		answer, err := d.device.Get(must(d.Ask(site, browser, asked, nil))(t), site.Origin)
		d.ok(err)
		return must(Read(answer))(t)
	}
	for name, refuse := range map[string]func() error{
		"another browser": func() error {
			_, err := d.Check(d.site, "other", Owner{}, from(d.site, "browser", Owner{}), d.ines, d.key)
			return err
		},
		"another origin of the host": func() error {
			_, err := d.Check(d.site, "browser", Owner{}, from(elsewhere, "browser", Owner{}), d.ines, d.key)
			return err
		},
		"the page of another site, with our challenge": func() error {
			answer, err := d.device.Get(must(d.Ask(d.site, "browser", Owner{}, nil))(t), "https://evil.example")
			d.ok(err)
			_, err = d.check(answer)
			return err
		},
		"signed for another host": func() error {
			d.device.Host = "evil.example"
			defer func() { d.device.Host = "" }()
			_, err := d.check(d.answer())
			return err
		},
		"asked about somebody, answered as anybody": func() error {
			_, err := d.Check(d.site, "browser", Owner{}, from(d.site, "browser", d.ines), d.ines, d.key)
			return err
		},
		"asked about anybody, answered as somebody": func() error {
			_, err := d.Check(d.site, "browser", d.ines, from(d.site, "browser", Owner{}), d.ines, d.key)
			return err
		},
		"asked about another person": func() error {
			_, err := d.Check(d.site, "browser", tomas, from(d.site, "browser", tomas), d.ines, d.key)
			return err
		},
		"said to be another person's": func() error {
			_, err := d.Check(d.site, "browser", Owner{}, from(d.site, "browser", Owner{}), tomas, d.key)
			return err
		},
		"nobody's": func() error {
			_, err := d.Check(d.site, "browser", Owner{}, from(d.site, "browser", Owner{}), Owner{}, Key{})
			return err
		},
		"another key": func() error {
			other := newDesk(t, &passkeytest.Device{})
			key := d.key
			key.Public = other.key.Public
			_, err := d.Check(d.site, "browser", Owner{}, from(d.site, "browser", Owner{}), d.ines, key)
			return err
		},
		"too late": func() error {
			answer := d.answer()
			d.now += Life + time.Millisecond
			_, err := d.check(answer)
			return err
		},
		"of another process": func() error {
			answer := d.answer()
			d.Challenges = NewChallenges(func() time.Duration { return d.now })
			_, err := d.check(answer)
			return err
		},
		"a person who was not verified": func() error {
			d.device.Unverified = true
			defer func() { d.device.Unverified = false }()
			_, err := d.check(d.answer())
			return err
		},
		"no answer": func() error { _, err := d.check([]byte(`{"id":"x"}`)); return err },
		"no JSON":   func() error { _, err := d.check([]byte(`<`)); return err },
		"an answer to the question for a new one": func() error {
			answer, err := (&passkeytest.Device{}).Create(must(d.AskNew(d.site, "browser", d.ines, nil))(t), d.site.Origin)
			d.ok(err)
			_, err = d.check(answer)
			return err
		},
	} {
		d.refused(name, refuse())
	}
	_, err := d.check(d.answer())
	d.ok(err) // and the good one still passes
}

func TestBadNewPasskeys(t *testing.T) {
	d := newDesk(t, &passkeytest.Device{})
	create := func(device *passkeytest.Device, browser string, origin string) error {
		answer, err := device.Create(must(d.AskNew(d.site, "browser", d.ines, nil))(t), origin)
		d.ok(err)
		_, err = d.New(d.site, browser, d.ines, answer)
		return err
	}
	d.ok(create(&passkeytest.Device{}, "browser", d.site.Origin))
	d.refused("not verified", create(&passkeytest.Device{Unverified: true}, "browser", d.site.Origin))
	d.refused("another browser", create(&passkeytest.Device{}, "other", d.site.Origin))
	d.refused("another page", create(&passkeytest.Device{}, "browser", "https://evil.example"))
	answer, err := (&passkeytest.Device{}).Create(must(d.AskNew(d.site, "browser", d.ines, nil))(t), d.site.Origin)
	d.ok(err)
	_, err = d.New(d.site, "browser", Owner{ID: "usr_tomas"}, answer)
	d.refused("somebody else's", err)
	_, err = d.New(d.site, "browser", d.ines, answer)
	d.ok(err)
	_, err = d.New(d.site, "browser", d.ines, answer)
	d.refused("given again", err)
	_, err = d.New(d.site, "browser", d.ines, []byte(`{}`))
	d.refused("no answer", err)
}

func TestCopiedPasskey(t *testing.T) {
	d := newDesk(t, &passkeytest.Device{})
	used, err := d.check(d.answer())
	d.ok(err)
	d.key = used.Key
	d.device.Count--
	used, err = d.check(d.answer())
	d.ok(err)
	if !used.Copied || used.Count != d.key.Count {
		t.Errorf("%+v after %+v", used, d.key)
	}
}

func TestSiteAt(t *testing.T) {
	for address, want := range map[string]Site{
		"https://backup.example":         {"backup.example", "", "https://backup.example"},
		"https://Backup.example:443/x/y": {"backup.example", "", "https://backup.example"},
		"https://backup.example:8443":    {"backup.example", "8443", "https://backup.example:8443"},
		"http://localhost:8333":          {"localhost", "8333", "http://localhost:8333"},
		"http://shop.localhost":          {"shop.localhost", "", "http://shop.localhost"},
	} {
		if s, err := SiteAt(address); err != nil || s != want {
			t.Errorf("%s is %+v, %v", address, s, err)
		}
	}
	for address, want := range map[string]error{
		"http://127.0.0.1:8333": ErrAddress, "https://[::1]": ErrAddress, "https://10.0.0.7": ErrAddress, "http://backup.example": ErrInsecure,
	} {
		if _, err := SiteAt(address); !errors.Is(err, want) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"", "backup.example", "ftp://backup.example", "https://", "http://a b"} {
		if _, err := SiteAt(address); err == nil {
			t.Errorf("%q is a site", address)
		}
	}
}

// TestChallengeIsGoodForOnePurpose: each part of what it was made for counts by itself, also where WebAuthn looks again.
func TestChallengeIsGoodForOnePurpose(t *testing.T) {
	c := NewChallenges(func() time.Duration { return 0 })
	p := purpose{"ask", "https://backup.example", "browser", "usr_ines"}
	text := b64(c.issue(p))
	if err := c.check(p, text); err != nil {
		t.Error(err)
	}
	for _, other := range []purpose{
		{"new", p.origin, p.browser, p.owner}, {p.question, "https://backup.example:8443", p.browser, p.owner}, {p.question, p.origin, "other", p.owner},
		{p.question, p.origin, p.browser, ""}, {p.question, p.origin, p.browser + p.owner, ""}, {p.question + p.origin, "", p.browser, p.owner},
	} {
		if err := c.check(other, text); !errors.Is(err, ErrRefused) {
			t.Errorf("good for %q too: %v", other, err)
		}
	}
	for _, broken := range []string{"", "x", text[1:], text + "AAAA", b64(make([]byte, headSize+32))} {
		if err := c.check(p, broken); !errors.Is(err, ErrRefused) {
			t.Errorf("%q is good: %v", broken, err)
		}
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
