# The web interface; everything else is the go command's.
.PHONY: ui ui-check
ui:
	scripts/ui build
ui-check:
	scripts/ui check
