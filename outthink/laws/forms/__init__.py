"""The laws, a file a family. Importing a file registers its laws; `outthink.laws.form.forms` imports all."""
