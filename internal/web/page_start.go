package web

func showStart(v *visit) (reply, error) {
	needed, err := v.app.SetupNeeded(v.ctx)
	if err != nil {
		return nil, err
	}
	if needed {
		return redirect("/setup"), nil
	}
	return redirect("/backups"), nil
}
