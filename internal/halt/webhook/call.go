package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/egress"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// maxAnswer is how much of an answer's body is read.
const maxAnswer = 16 << 10

// answer is what a service replied.
type answer struct {
	status int
	body   []byte // the beginning of it
}

// String is the answer in one line for people: a service's words are not to be trusted with more.
func (a answer) String() string {
	s := fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	if text := halt.OneLine(string(a.body)); text != "" {
		s += ", \"" + text + "\""
	}
	return s
}

func (h *Halter) call(ctx context.Context, method, address string, body []byte, header http.Header) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header = header
	req.Header.Set("User-Agent", "safepoint")
	res, err := h.client.Do(req)
	if err != nil {
		var withURL *url.Error // an address may hold a token: keep it out of errors
		if errors.As(err, &withURL) {
			err = withURL.Err
		}
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{}, err
	}
	return answer{res.StatusCode, text}, nil
}

// health asks the health URL once.
func (h *Halter) health(ctx context.Context) (halt.Status, error) {
	a, err := h.call(ctx, http.MethodGet, h.service.HealthURL, nil, http.Header{"Accept": {"application/json"}})
	if errors.Is(err, syscall.ECONNREFUSED) {
		return halt.Status{Condition: halt.Down, Detail: "Nothing listens at its health URL."}, nil
	}
	if err != nil {
		return halt.Status{Condition: halt.Unknown}, h.unreachable(ctx, err)
	}
	var said struct{ Condition, Detail string }
	if json.Unmarshal(a.body, &said) == nil {
		switch c := halt.Condition(said.Condition); c {
		case halt.Running, halt.Halted, halt.Down, halt.Failing:
			return halt.Status{Condition: c, Detail: halt.OneLine(said.Detail)}, nil
		}
	}
	switch {
	case a.status/100 == 2:
		return halt.Status{Condition: halt.Running}, nil
	case a.status == http.StatusServiceUnavailable:
		return halt.Status{Condition: halt.Halted}, nil
	}
	return halt.Status{Condition: halt.Failing, Detail: "It answered " + a.String() + "."}, nil
}

// retryable says whether the same call may reach the service a moment later.
func retryable(err error) bool {
	var refused *egress.RefusedError
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	return !errors.As(err, &refused) && !errors.As(err, &cert) && !(errors.As(err, &dns) && dns.IsNotFound)
}

// unreachable says in words why a call got no answer.
func (h *Halter) unreachable(ctx context.Context, err error) error {
	var refused *egress.RefusedError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	name := h.service.Name
	e := safepoint.Errorf(safepoint.CodeUnreachable, "%s could not be reached.", name).WithHint("Check that it runs and that its address is right.")
	switch {
	case errors.As(err, &refused):
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s is at %s, an address to which nothing is sent.", name, refused.Address).
			WithHint("Link-local, metadata, multicast and unspecified addresses are never called.")
	case errors.As(err, &dns) && !dns.IsTimeout:
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s could not be reached: the host name %s was not found.", name, halt.OneLine(dns.Name)).
			WithHint("Check the host name in its address.")
	case errors.Is(err, syscall.ECONNREFUSED):
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s could not be reached: nothing listens at its address.", name).
			WithHint("Check that it runs and that the port is right.")
	case errors.As(err, &cert):
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s could not be trusted: its certificate was not accepted.", name).
			WithHint("Give it a certificate that this machine trusts, for the host name in its address.")
	case errors.As(err, &record):
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s does not speak TLS at its address.", name).
			WithHint("Check whether its address should start with http:// instead of https://.")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s did not answer within %s.", name, halt.Seconds(h.service.Timeout)).
			WithHint("Check that it runs, or give it more time.")
	case ctx.Err() != nil:
		e = safepoint.Errorf(safepoint.CodeUnreachable, "The call to %s was stopped.", name)
	}
	return e.WithCause(err)
}

func (h *Halter) failed(format string, args ...any) *safepoint.Error {
	return safepoint.Errorf(safepoint.CodeHalt, format, args...)
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
