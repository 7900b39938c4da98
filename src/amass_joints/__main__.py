"""``python -m amass_joints`` is ``amass-joints``."""

from amass_joints.cli import main

if __name__ == "__main__":
    main()
