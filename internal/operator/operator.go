// Package operator reads the file in which the operator of a server declares services of its machine: what it says is
// trusted, so nobody else may be able to write it, and nothing in it is guessed or ignored.
package operator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/safepoint-db/safepoint"
)

const (
	maxFile        = 1 << 20
	defaultTimeout = time.Minute
	maxTimeout     = 30 * time.Minute
	maxName        = 100 // characters, as for services of the console
)

// Service is one entry of the file.
type Service struct {
	Organization string // the ID of its organization
	safepoint.Service
}

// Resolve gives the service its organization, and the ID that follows from it.
func (s Service) Resolve() safepoint.Service {
	out := s.Service
	out.OrganizationID, out.ID = s.Organization, safepoint.HostServiceID(s.Organization, out.Name)
	return out
}

// organizationID is what names an organization. Its name would not do: every admin can call an organization as another
// one is called, and would halt and resume what is that one's.
var organizationID = regexp.MustCompile(`^` + safepoint.OrganizationPrefix + `_[a-z0-9]+$`)

// file is the shape of the file.
type file struct {
	Service []entry `toml:"service"`
}

type entry struct {
	Organization string      `toml:"organization"`
	Name         string      `toml:"name"`
	Kind         string      `toml:"kind"`
	Order        int         `toml:"order"`
	Timeout      string      `toml:"timeout"`
	Health       *health     `toml:"health"`
	Systemd      *systemd    `toml:"systemd"`
	Docker       *docker     `toml:"docker"`
	Kubernetes   *kubernetes `toml:"kubernetes"`
	Command      *command    `toml:"command"`
}

type health struct {
	URL     string   `toml:"url"`
	Command []string `toml:"command"`
}

type systemd struct {
	Units []string `toml:"units"`
	Bus   string   `toml:"bus"`
}

type docker struct {
	Host        string   `toml:"host"`
	CAFile      string   `toml:"ca_file"`
	CertFile    string   `toml:"cert_file"`
	KeyFile     string   `toml:"key_file"`
	Containers  []string `toml:"containers"`
	Project     string   `toml:"project"`
	Services    []string `toml:"services"`
	StopTimeout string   `toml:"stop_timeout"`
}

type kubernetes struct {
	Server    string   `toml:"server"`
	CAFile    string   `toml:"ca_file"`
	TokenFile string   `toml:"token_file"`
	CertFile  string   `toml:"cert_file"`
	KeyFile   string   `toml:"key_file"`
	Namespace string   `toml:"namespace"`
	Workloads []string `toml:"workloads"`
}

type command struct {
	Halt   []string `toml:"halt"`
	Resume []string `toml:"resume"`
	Probe  []string `toml:"probe"`
	Dir    string   `toml:"dir"`
	Env    []string `toml:"env"`
}

// Read reads the file at path. What is wrong with it, or with who may write it, is CodeInvalid and says where.
func Read(path string) ([]Service, error) {
	text, err := readTrusted(path)
	if err != nil {
		return nil, err
	}
	services, err := parse(text)
	if err != nil {
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "%s: %s", path, err).
			WithHint("Nothing in this file is guessed or ignored: correct it. docs/services.md has an example of every kind.")
	}
	return services, nil
}

// readTrusted reads a regular file that only its owner may write, who is us or root.
func readTrusted(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for its writer
	if err != nil {
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "The file of services %s cannot be read.", path).
			WithHint("Check that it exists, and that the user of the server may read it.").WithCause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", path, err)
	}
	switch owner, known := ownerOf(info); {
	case !info.Mode().IsRegular():
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "The file of services %s is not a regular file.", path)
	case info.Mode().Perm()&0o022 != 0:
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "The file of services %s can be written by others (mode %04o): whoever writes it runs commands as this server's user.", path, info.Mode().Perm()).
			WithHint("chmod go-w %s", path)
	case known && owner != 0 && owner != os.Geteuid():
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "The file of services %s belongs to another user (%d): whoever writes it runs commands as this server's user.", path, owner).
			WithHint("Give it to root, or to the user of the server.")
	case info.Size() > maxFile:
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "The file of services %s is larger than 1 MiB.", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text, nil
}

func ownerOf(info os.FileInfo) (uid int, known bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// parse reads the text of a file, strictly.
func parse(text []byte) ([]Service, error) {
	var f file
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, placed(err)
	}
	var services []Service
	for i, e := range f.Service {
		s, err := e.service()
		if err != nil {
			return nil, fmt.Errorf("service %d (%s): %w", i+1, firstOf(e.Name, "without a name"), err)
		}
		for _, other := range services {
			if other.Organization == s.Organization && strings.EqualFold(other.Name, s.Name) {
				return nil, fmt.Errorf("service %d (%s): another one of this organization has this name", i+1, s.Name)
			}
		}
		services = append(services, s)
	}
	return services, nil
}

// placed says on which line the decoder stumbled, never quoting more of the file than a key.
func placed(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		e := unknown.Errors[0]
		line, _ := e.Position()
		return fmt.Errorf("line %d: %s is not known here", line, strings.Join(e.Key(), "."))
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, column := wrong.Position()
		return fmt.Errorf("line %d, column %d: %s", line, column, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return err
}

// service checks what every kind has. What only a kind knows is checked by its own constructor.
func (e entry) service() (Service, error) {
	var given []string
	h := &safepoint.HostService{}
	timeout, err := duration("timeout", e.Timeout)
	if err != nil {
		return Service{}, err
	}
	if c := e.Systemd; c != nil {
		given = append(given, "systemd")
		h.Systemd = &safepoint.SystemdService{Units: c.Units, Bus: c.Bus}
	}
	if c := e.Docker; c != nil {
		given = append(given, "docker")
		stop, err := duration("stop_timeout", c.StopTimeout)
		if err != nil {
			return Service{}, err
		}
		h.Docker = &safepoint.DockerService{Host: c.Host, CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile,
			Containers: c.Containers, Project: c.Project, Services: c.Services, StopTimeout: stop}
	}
	if c := e.Kubernetes; c != nil {
		given = append(given, "kubernetes")
		k := safepoint.KubernetesService(*c)
		h.Kubernetes = &k
	}
	if c := e.Command; c != nil {
		given = append(given, "command")
		h.Command = &safepoint.CommandService{Halt: c.Halt, Resume: c.Resume, Probe: c.Probe, Dir: c.Dir, Env: c.Env}
	}
	if c := e.Health; c != nil {
		if (c.URL == "") == (len(c.Command) == 0) {
			return Service{}, errors.New("health is either a url or a command")
		}
		h.Health = &safepoint.HealthCheck{URL: c.URL, Command: c.Command}
	}
	s := safepoint.Service{Name: e.Name, Kind: safepoint.ServiceKind(e.Kind), Position: e.Order, Timeout: timeout, Operator: h}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	switch {
	case !organizationID.MatchString(e.Organization):
		return Service{}, errors.New("organization is the ID of one, such as org_k3jq7w2mfz5xv4na, which its page Settings shows; a name can be taken by the admins of another organization")
	case strings.TrimSpace(e.Name) != e.Name || e.Name == "" || len([]rune(e.Name)) > maxName || strings.ContainsFunc(e.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Service{}, fmt.Errorf("name is missing, longer than %d characters, or not one line of text", maxName)
	case len(given) != 1 || given[0] != e.Kind:
		return Service{}, fmt.Errorf("kind is %q and it has the fields of %s; it must have those of its kind and no others (kinds: systemd, docker, kubernetes, command)",
			e.Kind, firstOf(strings.Join(given, " and "), "no kind"))
	case s.Timeout < time.Second || s.Timeout > maxTimeout:
		return Service{}, errors.New("timeout is a time between 1s and 30m")
	}
	return Service{Organization: e.Organization, Service: s}, nil
}

// duration reads a time such as "90s"; nothing is 0.
func duration(field, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s is not a time such as \"90s\" or \"2m\"", field)
	}
	return d, nil
}

func firstOf(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
