"""Problems, traces and think formats: what is asked, and how a model writes its answer."""
