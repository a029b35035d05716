package cli

import (
	"strings"

	"github.com/alecthomas/kong"
)

// help is what follows a command's one sentence: what else one should know, then lines to copy.
type help struct {
	text     string
	examples []string
}

// helps are the commands' help, by path. Every command has at least one example, and each can be parsed: a test says so.
// The shop is the documentation's.
var helps = map[string]help{
	"serve": {examples: []string{
		"safepoint serve --data /var/lib/safepoint",
		"safepoint serve --data /var/lib/safepoint --addr :8443 --tls-cert cert.pem --tls-key key.pem",
	}},
	"watchdog": {
		text: "If the server dies, or stands still, while a restore has halted services, and nobody starts it again within --after, " +
			"this opens the database and resumes the services as the server's next start would. A server that stands still is ended first. " +
			"Give it the flags of the server that say where programs and services are.",
		examples: []string{"safepoint watchdog --data . --after 5m"},
	},
	"demo": {examples: []string{"safepoint demo", "safepoint demo --addr 127.0.0.1:9000 --postgres"}},

	"login": {examples: []string{
		"safepoint login https://backup.example",
		"safepoint login https://backup.example --email ops@shop.example --password-stdin < password",
	}},
	"logout":          {examples: []string{"safepoint logout", "safepoint logout --all"}},
	"health":          {examples: []string{"safepoint health", "safepoint --json health --days 365"}},
	"notices list":    {examples: []string{"safepoint notices", "safepoint notices --dismissed", "safepoint --json notices"}},
	"notices dismiss": {examples: []string{"safepoint notices dismiss missed:sch_k3jq7w2mfz5xv4na"}},
	"backup":          {examples: []string{"safepoint backup shop", "safepoint backup shop --wait"}},
	"upload":          {examples: []string{"safepoint upload shop.sql.zst --database shop --wait", "safepoint upload old-dump.sql.gz --database shop --no-owner"}},

	"schedule list": {examples: []string{"safepoint schedule list", "safepoint --json schedule list"}},
	"schedule view": {examples: []string{"safepoint schedule view Nightly"}},
	"schedule create": {examples: []string{
		"safepoint schedule create Nightly --database shop --interval 24h",
		"safepoint schedule create Nightly --database shop --interval 24h --first-run 2026-11-23T02:00:00+01:00 --description 'before the office opens'",
	}},
	"schedule edit":    {examples: []string{"safepoint schedule edit Nightly --interval 12h", "safepoint schedule edit Nightly --name 'Twice a day'"}},
	"schedule disable": {examples: []string{"safepoint schedule disable Nightly", "safepoint schedule disable Nightly --yes"}},
	"schedule enable":  {examples: []string{"safepoint schedule enable Nightly"}},

	"logs": {
		text:     "Without a further word it lists them, with the flags of safepoint logs list --help.",
		examples: []string{"safepoint logs --follow"},
	},
	"logs list": {
		text: "With --follow the newest entries are printed, then each new one and each change of status as it happens, a line each. Ctrl-C ends it.",
		examples: []string{
			"safepoint logs", "safepoint logs --type backup --database shop --status succeeded", "safepoint logs --follow", "safepoint --json logs --follow --status failed",
		},
	},
	"logs view":     {examples: []string{"safepoint logs view op_7k2mq4xjt5aswzv3", "safepoint logs view shop_2026-11-22_140000-utc.sql.zst", "safepoint logs view op_7k2mq4xjt5aswzv3 --wait"}},
	"logs download": {examples: []string{"safepoint logs download shop_2026-11-22_140000-utc.sql.zst", "safepoint logs download op_7k2mq4xjt5aswzv3 -O shop.sql.zst --password-stdin < password"}},
	"logs tables":   {examples: []string{"safepoint logs tables op_7k2mq4xjt5aswzv3"}},
	"logs extract":  {examples: []string{"safepoint logs extract op_7k2mq4xjt5aswzv3 --table app.orders > orders.sql", "safepoint logs extract op_7k2mq4xjt5aswzv3 --table 'app.*' --data-only -O rows.sql"}},
	"logs delete":   {examples: []string{"safepoint logs delete op_7k2mq4xjt5aswzv3", "safepoint logs delete op_7k2mq4xjt5aswzv3 --yes"}},
	"logs cancel":   {examples: []string{"safepoint logs cancel op_7k2mq4xjt5aswzv3"}},

	"restore": {examples: []string{
		"safepoint logs --type backup --database shop --status succeeded",
		"safepoint restore shop_2026-11-22_140000-utc.sql.zst",
		"safepoint restore op_7k2mq4xjt5aswzv3 --preview",
		"safepoint restore op_7k2mq4xjt5aswzv3 --confirm shop --wait",
		"safepoint restore op_7k2mq4xjt5aswzv3 --into shop_march --table app.orders --wait",
	}},
	"undo": {examples: []string{"safepoint undo op_7k2mq4xjt5aswzv3", "safepoint undo op_7k2mq4xjt5aswzv3 --yes --wait"}},

	"database list": {
		text:     "The server asks databases how they are while somebody looks, every five minutes at most. The first look in a while waits up to three seconds for their answers.",
		examples: []string{"safepoint database list", "safepoint --json database list"},
	},
	"database view": {examples: []string{"safepoint database view shop"}},
	"database add": {examples: []string{
		"safepoint database add shop postgres://backup@db.example/shop",
		"safepoint database add shop postgres://backup@db.example/shop --password-file password --ca-cert ca.pem",
		"safepoint database add till sqlite:///var/lib/till/till.db",
	}},
	"database edit":   {examples: []string{"safepoint database edit shop --database-url postgres://backup@db2.example/shop", "safepoint database edit shop --instant-switch"}},
	"database test":   {examples: []string{"safepoint database test shop"}},
	"storage list":    {examples: []string{"safepoint storage list"}},
	"storage view":    {examples: []string{"safepoint storage view", "safepoint --json storage view local"}},
	"storage test":    {examples: []string{"safepoint storage test"}},
	"database remove": {examples: []string{"safepoint database remove shop"}},

	"service list": {examples: []string{"safepoint service list", "safepoint service list --status"}},
	"service add": {examples: []string{
		"safepoint service add storefront --kind webhook --halt-url https://shop.example/halt --resume-url https://shop.example/resume",
		"safepoint service add pooler --kind pgbouncer --host 127.0.0.1 --user admin --pool shop --secret-file password",
	}},
	"service order":  {examples: []string{"safepoint service order storefront pooler"}},
	"service test":   {examples: []string{"safepoint service test storefront"}},
	"service resume": {examples: []string{"safepoint service resume storefront", "safepoint service resume --restore op_7k2mq4xjt5aswzv3"}},
	"service remove": {examples: []string{"safepoint service remove storefront"}},
	"state":          {examples: []string{"safepoint state", "safepoint state --follow"}},

	"encryption show":   {examples: []string{"safepoint encryption"}},
	"encryption add":    {examples: []string{"safepoint encryption add --name 'Office safe' --identity recovery.key", "safepoint encryption add --name Elsewhere --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}},
	"encryption prove":  {examples: []string{"safepoint encryption prove rcp_k3jq7w2mfz5xv4na", "safepoint encryption prove rcp_k3jq7w2mfz5xv4na K3JQ-7W2M-FZ5X-V4NA"}},
	"encryption remove": {examples: []string{"safepoint encryption remove rcp_k3jq7w2mfz5xv4na"}},
	"encryption forget": {examples: []string{"safepoint encryption forget rcp_k3jq7w2mfz5xv4na"}},
	"encryption on":     {examples: []string{"safepoint encryption on"}},
	"encryption off":    {examples: []string{"safepoint encryption off", "safepoint encryption off --confirm 'Harbor Logistics'"}},
	"audit":             {examples: []string{"safepoint audit --what restore", "safepoint audit --who Rahel --limit 200"}},

	"dump": {
		text:     "The file is plain SQL, compressed. Without Safepoint it is restored by\n\n  zstd -dc shop.sql.zst | psql -v ON_ERROR_STOP=1 empty_shop",
		examples: []string{"safepoint dump --from postgres://backup@db.example/shop -o shop.sql.zst", "safepoint dump --from sqlite:///var/lib/shop/shop.db -o shop.sql.zst"},
	},
	"load": {
		text: "With --replace nothing changes before everything was loaded and compared. If it is killed, run it again: it ends what was begun, then goes on.",
		examples: []string{
			"safepoint load shop.sql.zst --into postgres://admin@127.0.0.1/empty_shop",
			"safepoint load shop.sql.zst --into postgres://admin@db.example/shop --replace",
			"safepoint load shop.sql.zst --into sqlite:///var/lib/shop/new.db",
			"safepoint load shop.sql.zst --table app.orders --into postgres://admin@127.0.0.1/empty_shop",
			"safepoint load shop.sql.zst --table app.orders --schema march --key signing.key --into postgres://admin@db.example/shop",
		},
	},
	"verify": {examples: []string{"safepoint verify shop.sql.zst", "safepoint verify shop.sql.zst --key signing.pub"}},
	"extract": {
		text: "Only these tables' part of the file is read. What stays behind, such as foreign keys to other tables, is said.",
		examples: []string{
			"safepoint extract shop.sql.zst --table app.orders > orders.sql",
			"safepoint extract shop.sql.zst --table 'app.*' --table customers --output app.sql",
			"safepoint extract shop.sql.zst --table orders --archive --output orders.sql.zst",
		},
	},
	"inspect": {examples: []string{"safepoint inspect shop.sql.zst", "safepoint inspect shop.sql.zst --tables", "safepoint inspect old-dump.sql.gz"}},
	"convert": {examples: []string{"safepoint convert old-dump.sql.gz shop.sql.zst"}},
	"doctor": {
		text: "It looks and changes nothing, unless --fix asks for it. Restores leave databases called safepoint_…_staging and safepoint_…_aside, " +
			"with a comment that says of which restore; nothing is ever dropped on a name alone, and a set-aside database never. " +
			"Ends with 0 if all is well, and with 1 if something was found that needs somebody.",
		examples: []string{"safepoint doctor --data .", "safepoint doctor --data . --fix resume", "safepoint doctor --database postgres://admin@db.example/shop"},
	},
	"recover": {
		text: "For when the data directory is lost and the backup files are not. Each file is read whole, and listed in DB Logs as it was: " +
			"name, dates, size, SHA-256. Databases come back without their connections, passwords and schedules: add these in the console. " +
			"Files of a signer that is not known here are listed, and nothing of them is added, until you name the signer with --trust or its key with --key.",
		examples: []string{"safepoint recover --from .", "safepoint recover --from . --data /var/lib/safepoint --key signing.key"},
	},
	"reset-password": {
		text: "For the operator, on the server's machine and as the server's user; the server may run. Whoever was signed in as that person is signed out, " +
			"and their passkeys are removed; API tokens stay. It is written into the audit log of each of their organizations.",
		examples: []string{"safepoint reset-password ines@shop.example --data .", "safepoint reset-password ines@shop.example --data . --password-stdin < password"},
	},
	"key new":       {examples: []string{"safepoint key new --output recovery.key"}},
	"key signer":    {examples: []string{"safepoint key signer signing.key", "safepoint key signer shop.sql.zst"}},
	"key recipient": {examples: []string{"safepoint key recipient recovery.key"}},
	"completion": {
		text: "The script asks safepoint itself at each press of the tab key: what commands and flags there are, and, where you are signed in, " +
			"what your databases, schedules, services, backups and restores are called. Put the line for your shell into its start-up file.",
		examples: []string{
			"source <(safepoint completion bash)",
			"source <(safepoint completion zsh)",
			"safepoint completion fish | source",
		},
	},
}

// addHelp gives every command below node its text and examples; one that holds others shows an example of each of them.
func addHelp(node *kong.Node) {
	for _, n := range node.Children {
		addHelp(n)
		h := helps[path(n)]
		for _, child := range n.Children {
			if all := helps[path(child)].examples; len(all) > 0 {
				h.examples = append(h.examples, all[0])
			}
		}
		n.Detail = h.String()
	}
}

// path is the words of a command: "logs list".
func path(n *kong.Node) string {
	if n.Parent == nil || n.Parent.Type == kong.ApplicationNode {
		return n.Name
	}
	return path(n.Parent) + " " + n.Name
}

func (h help) String() string {
	var parts []string
	if h.text != "" {
		parts = append(parts, h.text)
	}
	if len(h.examples) > 0 {
		heading := "Examples:"
		if len(h.examples) == 1 {
			heading = "Example:"
		}
		parts = append(parts, heading+"\n\n  "+strings.Join(h.examples, "\n  "))
	}
	return strings.Join(parts, "\n\n")
}
