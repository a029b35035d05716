package wire

import (
	"time"

	"github.com/safepoint-db/safepoint"
)

// Database is a connection to one database of one engine. Its password is never part of it.
type Database struct {
	ID            string    `json:"id" example:"db_k3jq7w2mfz5xv4na"`
	Name          string    `json:"name" doc:"What it is called here" example:"harbor_prod"`
	Engine        string    `json:"engine" enum:"postgres,sqlite"`
	Host          string    `json:"host,omitempty" example:"db.harbor.example"`
	Port          int       `json:"port,omitempty" example:"5432"`
	User          string    `json:"user,omitempty" example:"safepoint"`
	DBName        string    `json:"db_name,omitempty" doc:"PostgreSQL: the database's own name" example:"harbor_prod"`
	TLS           string    `json:"tls,omitempty" doc:"verify-full, verify-ca, require or disable" example:"verify-full"`
	CACert        string    `json:"ca_cert,omitempty" doc:"PEM; left out: the system's certificates"`
	Path          string    `json:"path,omitempty" doc:"SQLite: the file" example:"/srv/shop/shop.db"`
	HasPassword   bool      `json:"has_password"`
	InstantSwitch bool      `json:"instant_switch,omitempty" doc:"Its restores switch at once and make the safety backup afterwards, unless they say otherwise"`
	ServerVersion string    `json:"server_version,omitempty" doc:"As last seen" example:"15.18"`
	CreatedAt     time.Time `json:"created_at"`
	CreatedBy     string    `json:"created_by,omitempty" doc:"The name of who added it" example:"Rahel Odermatt"`
	Version       int       `json:"version" doc:"Grows with each change"`

	Connection *DatabaseConnection `json:"connection,omitempty" doc:"What is known of the connection; left out where a database is added or changed"`
}

// DatabaseConnection is what a database said when it was last asked in the background: while somebody looks, every five minutes.
type DatabaseConnection struct {
	State       string    `json:"state" enum:"answers,failing,unknown" doc:"unknown: not asked since the server started, or not within a quarter of an hour"`
	Asking      bool      `json:"asking,omitempty" doc:"It is being asked now"`
	AskedAt     time.Time `json:"asked_at,omitzero"`
	AnsweredAt  time.Time `json:"answered_at,omitzero" doc:"When it last answered: what follows is of then"`
	TookSeconds float64   `json:"took_seconds,omitempty"`
	Size        int64     `json:"size,omitempty" doc:"Bytes on the server's disk"`
	Tables      int       `json:"tables,omitempty"`
	DiskFree    int64     `json:"disk_free,omitempty" doc:"Bytes that can still be written to that disk, where disk_total is known"`
	DiskTotal   int64     `json:"disk_total,omitempty" doc:"Bytes it holds; left out where Safepoint cannot know: PostgreSQL on another machine"`
	Failure     *Failure  `json:"failure,omitempty" doc:"Why it did not answer, with state failing"`
}

func FromDatabase(d safepoint.Database) Database {
	return Database{
		ID: d.ID, Name: d.Name, Engine: string(d.Engine), Host: d.Host, Port: d.Port, User: d.User, DBName: d.DBName,
		TLS: string(d.TLS), CACert: d.CACert, Path: d.Path, HasPassword: d.HasPassword, InstantSwitch: d.InstantSwitch, ServerVersion: d.ServerVersion,
		CreatedAt: d.CreatedAt.UTC(), CreatedBy: d.CreatedByName, Version: d.Version,
	}
}

// DatabaseInput adds, changes or tries a database: a URL, or the single fields.
type DatabaseInput struct {
	Name     string  `json:"name,omitempty" maxLength:"100" doc:"What it is called here" example:"harbor_prod"`
	URL      string  `json:"url,omitempty" doc:"postgres://user@host:port/name?sslmode=… or sqlite:///path; fills the other fields" example:"postgres://safepoint@db.harbor.example/harbor_prod"`
	Engine   string  `json:"engine,omitempty" enum:"postgres,sqlite"`
	Host     string  `json:"host,omitempty" example:"db.harbor.example"`
	Port     int     `json:"port,omitempty" minimum:"0" maximum:"65535" example:"5432"`
	User     string  `json:"user,omitempty" example:"safepoint"`
	DBName   string  `json:"db_name,omitempty" example:"harbor_prod"`
	Path     string  `json:"path,omitempty" example:"/srv/shop/shop.db"`
	Password *string `json:"password,omitempty" format:"password" writeOnly:"true" doc:"Left out: keeps the stored one"`
	TLS      string  `json:"tls,omitempty" enum:"verify-full,verify-ca,require,disable"`
	CACert   string  `json:"ca_cert,omitempty" doc:"PEM"`

	InstantSwitch *bool `json:"instant_switch,omitempty" doc:"Its restores switch at once and make the safety backup afterwards, unless they say otherwise. Left out: keeps what is stored, for a new database no"`

	Version int `json:"version,omitempty" doc:"Of the database being changed: refuses with 409 if someone else changed it since; 0 does not check"`
}

// DatabaseTest is what a test of a database found.
type DatabaseTest struct {
	OK            bool      `json:"ok" doc:"It can be backed up and restored"`
	ServerVersion string    `json:"server_version,omitempty" example:"15.18"`
	Encoding      string    `json:"encoding,omitempty" example:"UTF8"`
	Size          int64     `json:"size,omitempty" doc:"Bytes on the server's disk"`
	Tables        int       `json:"tables,omitempty"`
	Tool          string    `json:"tool,omitempty" doc:"The dump program that will be used" example:"pg_dump 15.18"`
	Findings      []Finding `json:"findings" nullable:"false" doc:"What would stop or hamper a backup or a restore"`
	Failure       *Failure  `json:"failure,omitempty" doc:"Why it could not be reached or looked at"`
	TookSeconds   float64   `json:"took_seconds"`
}

// Finding is one thing a check saw.
type Finding struct {
	Blocker bool   `json:"blocker" doc:"It stops a restore before anything is changed"`
	Code    string `json:"code,omitempty" example:"privilege"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Failure is why something did not succeed, as a person reads it.
type Failure struct {
	Code    string `json:"code" example:"password"`
	Message string `json:"message" example:"The server refused the password."`
	Hint    string `json:"hint,omitempty"`
}

// FromFailure is nil for nil.
func FromFailure(f *safepoint.Failure) *Failure {
	if f == nil {
		return nil
	}
	return &Failure{Code: string(f.Code), Message: f.Message, Hint: f.Hint}
}

// Service is something that uses the organization's databases and that a restore halts and resumes.
type Service struct {
	ID             string    `json:"id" example:"svc_k3jq7w2mfz5xv4na"`
	Name           string    `json:"name" example:"storefront"`
	Kind           string    `json:"kind" enum:"webhook,pgbouncer,systemd,docker,kubernetes,command"`
	ManagedBy      string    `json:"managed_by" enum:"organization,operator" doc:"The operator's are declared in a file of the server, and changed there only"`
	Where          string    `json:"where,omitempty" doc:"What a service of the operator is about: units, containers, workloads, a program" example:"shop.socket, shop.service"`
	Position       int       `json:"position" doc:"Halted in this order, resumed in the reverse one"`
	TimeoutSeconds float64   `json:"timeout_seconds" example:"60"`
	HaltURL        string    `json:"halt_url,omitempty" example:"https://shop.harbor.example/safepoint/halt"`
	ResumeURL      string    `json:"resume_url,omitempty" example:"https://shop.harbor.example/safepoint/resume"`
	HealthURL      string    `json:"health_url,omitempty" example:"https://shop.harbor.example/healthz"`
	Host           string    `json:"host,omitempty"`
	Port           int       `json:"port,omitempty" example:"6432"`
	User           string    `json:"user,omitempty"`
	DBName         string    `json:"db_name,omitempty" doc:"The pool to pause; left out: all"`
	HasSecret      bool      `json:"has_secret"`
	CreatedAt      time.Time `json:"created_at,omitzero"`
	Version        int       `json:"version" doc:"Grows with each change"`
	Secret         string    `json:"secret,omitempty" doc:"Only in the answer that adds a webhook service without a secret: the signing secret made for it"`
}

func FromService(s safepoint.Service) Service {
	by := "organization"
	if s.Operator != nil {
		by = "operator"
	}
	return Service{
		ID: s.ID, Name: s.Name, Kind: string(s.Kind), ManagedBy: by, Where: s.Where(), Position: s.Position, TimeoutSeconds: s.Timeout.Seconds(),
		HaltURL: s.HaltURL, ResumeURL: s.ResumeURL, HealthURL: s.HealthURL, Host: s.Host, Port: s.Port, User: s.User,
		DBName: s.DBName, HasSecret: s.HasSecret, CreatedAt: s.CreatedAt.UTC(), Version: s.Version,
	}
}

// ServiceInput adds or changes a service.
type ServiceInput struct {
	Name           string  `json:"name" minLength:"1" maxLength:"100" example:"storefront"`
	Kind           string  `json:"kind" enum:"webhook,pgbouncer"`
	HaltURL        string  `json:"halt_url,omitempty" example:"https://shop.harbor.example/safepoint/halt"`
	ResumeURL      string  `json:"resume_url,omitempty" example:"https://shop.harbor.example/safepoint/resume"`
	HealthURL      string  `json:"health_url,omitempty" example:"https://shop.harbor.example/healthz"`
	Host           string  `json:"host,omitempty"`
	Port           int     `json:"port,omitempty" minimum:"0" maximum:"65535"`
	User           string  `json:"user,omitempty"`
	DBName         string  `json:"db_name,omitempty"`
	TimeoutSeconds float64 `json:"timeout_seconds,omitempty" minimum:"0" maximum:"3600" doc:"0 means 60" example:"60"`
	Secret         *string `json:"secret,omitempty" format:"password" writeOnly:"true" doc:"Left out: keeps the stored one, or has one made for a new webhook service"`
	Version        int     `json:"version,omitempty" doc:"Of the service being changed; 0 does not check"`
}

// ServiceOrder is every service of the organization, first to be halted first.
type ServiceOrder struct {
	IDs []string `json:"ids" nullable:"false" minItems:"1"`
}

// ServiceStatus is what a service is doing, as it says itself.
type ServiceStatus struct {
	Condition string `json:"condition" enum:"running,halted,down,failing,unknown"`
	Detail    string `json:"detail,omitempty"`
}

// ServiceTest is the outcome of halting and resuming a service now.
type ServiceTest struct {
	Halted            bool     `json:"halted"`
	Resumed           bool     `json:"resumed"`
	HaltTookSeconds   float64  `json:"halt_took_seconds"`
	ResumeTookSeconds float64  `json:"resume_took_seconds"`
	Failure           *Failure `json:"failure,omitempty"`
}
