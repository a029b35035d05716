package postgres

import "testing"

func TestCheckScriptRefuses(t *testing.T) {
	for _, sql := range []string{"SELECT 1", "SELECT 'x;", "SELECT 1 \\! touch x\n;", "\\connect other\n", "SELECT $$;", "/* ;", "-- x\n\\! rm\n", "SELECT (1;"} {
		err := checkScript([]byte(sql), func([]byte) {})
		if sql == "/* ;" { // a comment alone is nothing to run, but one that does not end is a cut file
			if err == nil {
				t.Errorf("%q passed", sql)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q passed", sql)
		}
	}
	for _, sql := range []string{"", "\n", "-- nothing\n", "SELECT 1;", "SELECT '\\!';\n\n"} {
		if err := checkScript([]byte(sql), func([]byte) {}); err != nil {
			t.Errorf("%q: %v", sql, err)
		}
	}
}
