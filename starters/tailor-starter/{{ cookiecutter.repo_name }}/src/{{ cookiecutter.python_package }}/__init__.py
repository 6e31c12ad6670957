"""What {{ cookiecutter.project_name }} adds to Tailor."""
