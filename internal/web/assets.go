package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFS embed.FS

// assets are the embedded files by the name that holds their content's hash, so a browser may keep them for ever.
type assets struct {
	hashed map[string]string // "app.css" → "app.1a2b3c4d5e6f.css"
	files  map[string]packed // by hashed name
}

func loadAssets() (assets, error) {
	a := assets{hashed: map[string]string{}, files: map[string]packed{}}
	entries, err := staticFS.ReadDir("static")
	if err != nil {
		return a, err
	}
	for _, e := range entries {
		b, err := staticFS.ReadFile("static/" + e.Name())
		if err != nil {
			return a, err
		}
		a.add(e.Name(), b)
	}
	return a, a.addHelpPictures()
}

// add serves a file under its name with its content's hash.
func (a assets) add(file string, b []byte) {
	sum := sha256.Sum256(b)
	ext := path.Ext(file)
	name := strings.TrimSuffix(file, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	a.hashed[file], a.files[name] = name, packed{plain: b}
	if ext != ".png" { // which is compressed
		a.files[name] = pack(b, forFiles)
	}
}

// url is where a file is served.
func (a assets) url(name string) string { return "/static/" + a.hashed[name] }

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".png": "image/png",
}

func serveAsset(v *visit) (reply, error) {
	name := v.r.PathValue("file")
	b, ok := v.s.assets.files[name]
	if !ok {
		return notFound(v)
	}
	v.w.Header().Set("Content-Type", assetTypes[path.Ext(name)])
	v.w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	v.w.Header().Set("Vary", "Accept-Encoding")
	v.send(b, http.StatusOK, takesGzip(v.r))
	return nil, nil
}
