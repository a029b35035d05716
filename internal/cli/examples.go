package cli

// What follows a command's help: lines to copy, with the shop of the documentation.

func (serveCmd) Help() string {
	return `Examples:

  safepoint serve --data /var/lib/safepoint
  safepoint serve --data /var/lib/safepoint --addr :8443 --tls-cert cert.pem --tls-key key.pem`
}

func (loginCmd) Help() string {
	return `Examples:

  safepoint login https://backup.example
  safepoint login https://backup.example --email ops@shop.example --password-stdin < password`
}

func (backupCmd) Help() string {
	return `Example:

  safepoint backup shop --wait`
}

func (restoreCmd) Help() string {
	return `Examples:

  safepoint logs --type backup --database shop --status succeeded
  safepoint restore shop_2026-11-22_140000-utc.sql.zst
  safepoint restore op_7k2mq4xjt5aswzv3 --confirm shop --wait
  safepoint restore op_7k2mq4xjt5aswzv3 --into shop_march --table app.orders --wait`
}

func (undoCmd) Help() string {
	return `Example:

  safepoint undo op_7k2mq4xjt5aswzv3 --wait`
}

func (dumpCmd) Help() string {
	return `Examples:

  safepoint dump --from postgres://backup@db.example/shop -o shop.sql.zst
  safepoint dump --from sqlite:///var/lib/shop/shop.db -o shop.sql.zst

The file is plain SQL, compressed. Without Safepoint it is restored by

  zstd -dc shop.sql.zst | psql -v ON_ERROR_STOP=1 empty_shop`
}

func (extractCmd) Help() string {
	return `Examples:

  safepoint extract shop.sql.zst --table app.orders > orders.sql
  safepoint extract shop.sql.zst --table 'app.*' --table customers --out app.sql
  safepoint extract shop.sql.zst --table orders --archive --out orders.sql.zst

Only these tables' part of the file is read. What stays behind, such as foreign keys to other tables, is said.`
}

func (loadCmd) Help() string {
	return `Examples:

  safepoint load shop.sql.zst --into postgres://admin@127.0.0.1/empty_shop
  safepoint load shop.sql.zst --into postgres://admin@db.example/shop --replace
  safepoint load shop.sql.zst --into sqlite:///var/lib/shop/new.db
  safepoint load shop.sql.zst --table app.orders --into postgres://admin@127.0.0.1/empty_shop
  safepoint load shop.sql.zst --table app.orders --schema march --key signing.key --into postgres://admin@db.example/shop

With --replace nothing changes before everything was loaded and compared. If it is killed, run it again: it ends what
was begun, then goes on.`
}

func (verifyCmd) Help() string {
	return `Example:

  safepoint verify shop.sql.zst --key signing.pub`
}
