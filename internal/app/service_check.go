package app

import (
	"net/url"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// checkService reads and checks what a person entered for a service.
func checkService(in ServiceInput) (safepoint.Service, error) {
	s := safepoint.Service{Kind: in.Kind, Timeout: in.Timeout}
	var err error
	if s.Name, err = checkName("name", in.Name); err != nil {
		return s, err
	}
	if s.Timeout == 0 {
		s.Timeout = time.Minute
	}
	if s.Timeout < time.Second || s.Timeout > 30*time.Minute {
		return s, safepoint.Invalid("timeout", "Choose a time between 1 second and 30 minutes.")
	}
	switch in.Kind {
	case safepoint.ServiceWebhook:
		return s, checkWebhook(&s, in)
	case safepoint.ServicePgBouncer:
		return s, checkPgBouncer(&s, in)
	}
	return s, safepoint.Invalid("kind", "Choose webhook or pgbouncer.")
}

func checkWebhook(s *safepoint.Service, in ServiceInput) error {
	for _, u := range []struct {
		field, text string
		to          *string
		optional    bool
	}{
		{"halt_url", in.HaltURL, &s.HaltURL, false},
		{"resume_url", in.ResumeURL, &s.ResumeURL, false},
		{"health_url", in.HealthURL, &s.HealthURL, true},
	} {
		text := strings.TrimSpace(u.text)
		if text == "" && u.optional {
			continue
		}
		if err := checkWebURL(u.field, text); err != nil {
			return err
		}
		*u.to = text
	}
	return nil
}

func checkWebURL(field, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(text) > 2000 {
		return safepoint.Invalid(field, "Enter an address such as https://shop.example.org/safepoint/halt.")
	}
	if u.User != nil {
		return safepoint.Invalid(field, "Leave user and password out of the address: requests are signed.")
	}
	return checkHost(field, u.Hostname())
}

func checkPgBouncer(s *safepoint.Service, in ServiceInput) (err error) {
	s.Host, s.User, s.DBName = strings.TrimSpace(in.Host), in.User, in.DBName
	if !isSocket(s.Host) {
		if err := checkHost("host", s.Host); err != nil {
			return err
		}
		s.Host = strings.Trim(s.Host, "[]")
	}
	if s.Port, err = checkPort(in.Port, 6432); err != nil {
		return err
	}
	if err := checkIdentifier("user", s.User, "Enter one of PgBouncer's admin_users."); err != nil {
		return err
	}
	if len(s.DBName) > 63 || strings.ContainsRune(s.DBName, 0) {
		return safepoint.Invalid("dbname", "Names of pools have at most 63 bytes.")
	}
	return nil
}
