package browsertest

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// device is a virtual authenticator of a tab: it holds passkeys, and has a person at it who is known to it.
type device struct {
	p  *Page
	id webauthn.AuthenticatorID
}

func (p *Page) device() *device {
	p.tab.t.Helper()
	d := &device{p: p}
	d.do("add a device", func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		made, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
		d.id = made.AuthenticatorID
		return err
	})
	return d
}

func (d *device) do(what string, fn func(context.Context, *chromedp.Target) error) {
	d.p.tab.t.Helper()
	if err := d.p.do(chromedp.Func(fn)); err != nil {
		d.p.tab.t.Fatalf("%s: %v", what, err)
	}
}

// knows says whether the device recognizes its person from now on.
func (d *device) knows(person bool) {
	d.p.tab.t.Helper()
	d.do("change who is at the device", func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: d.id, IsUserVerified: person})
		return err
	})
}

// offersNone has the browser offer no passkeys beside a field from the next page on: the virtual device would take each offer
// at once, and again after a refusal.
func (d *device) offersNone() {
	d.p.tab.t.Helper()
	d.do("offer no passkeys", func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: "PublicKeyCredential.isConditionalMediationAvailable = async () => false"})
		return err
	})
}

// TestPasskey adds a passkey in a real browser, signs in and confirms with it, removes it, and is refused with it.
func TestPasskey(t *testing.T) {
	b := Start(t)
	link := strings.Replace(launch(t, `http://\S+/signin/link\?\S+`, "demo", "--addr", "127.0.0.1:0")[0], "127.0.0.1", "localhost", 1)
	origin := link[:strings.Index(link, "/signin")]
	p := b.NewPage(t)
	c := &console{Page: p, t: t, origin: origin, scripts: true}
	d := p.device()
	p.Open(strings.Replace(origin, "localhost", "127.0.0.1", 1) + "/signin")
	if p.Count("[data-passkey]") > 0 {
		t.Error("a sign-in at an address without a name offers passkeys")
	}
	p.Open(link)
	p.Follow("Sign in")
	p.WaitText("DB Backup")

	c.open("/profile")
	c.WaitText("Add a passkey")
	c.Follow("Add a passkey")
	c.look("/profile/passkeys/new")
	d.knows(false)
	c.Click("Create passkey")
	c.WaitText("No passkey was created.")
	d.knows(true)
	c.Fill("Name", "Laptop")
	c.Follow("Create passkey")
	c.WaitText("The passkey is added.")
	if got := c.Row("Laptop").Text(); !strings.Contains(got, "never") && !strings.Contains(got, "Never") {
		t.Errorf("the new passkey is listed as %s", got)
	}
	c.open("/profile/passkeys/new")
	c.Click("Create passkey")
	c.WaitText("This device has a passkey for you already.")
	c.open("/profile")
	c.Row("Laptop").Follow("Rename")
	c.Fill("Name", "Desk")
	c.Follow("css:main footer button")
	c.WaitText("Your changes are saved.")

	// Once by what the browser offers beside the address, and once by the button.
	c.Click("css:button.avatar")
	c.Click("Sign out")
	c.at("/backups")
	d.offersNone()
	c.Click("css:button.avatar")
	c.Follow("Sign out")
	c.open("/signin?next=/health")
	c.Follow("Sign in with a passkey")
	c.at("/health")
	c.open("/stepup?next=/profile")
	c.look("/stepup")
	c.Follow("Use a passkey")
	c.WaitText("Passkeys")
	c.open("/audit")
	c.WaitText("Add a passkey")
	c.WaitText("Confirm the sign-in")

	c.open("/profile")
	c.Row("Desk").Click("Remove")
	c.WaitText("Remove this passkey?")
	c.Follow("Remove passkey")
	c.WaitText("The passkey is removed.")
	c.Click("css:button.avatar")
	c.Follow("Sign out")
	c.look("/signin")
	c.Expect("status of 422")
	c.Follow("Sign in with a passkey")
	c.WaitText("This passkey was not accepted.")
	if !strings.HasSuffix(c.URL(), "/signin") {
		t.Errorf("a removed passkey led to %s", c.URL())
	}
}

// at waits until the browser is at a page of the console.
func (c *console) at(path string) {
	c.t.Helper()
	c.until(patience, func() string {
		if url := c.URL(); url != c.origin+path {
			return "the browser is at " + url + ", not at " + path
		}
		return ""
	})
	c.WaitText("Audit log")
}
